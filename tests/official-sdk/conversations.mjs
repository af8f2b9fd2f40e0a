// Twilio's JavaScript SDK for Conversations, 3.0.1, against the emulator: one line for each feature.

import { connection } from "./features/connection.mjs";
import { conversations } from "./features/conversations.mjs";
import { faults } from "./features/faults.mjs";
import { messages } from "./features/messages.mjs";
import { participants } from "./features/participants.mjs";
import { presence } from "./features/presence.mjs";
import { startup } from "./features/startup.mjs";
import { Features } from "./lib/features.mjs";
import { World } from "./lib/world.mjs";

const features = new Features();
startup(features);
conversations(features);
participants(features);
messages(features);
presence(features);
connection(features);
faults(features);
await features.run(() => World.open());
