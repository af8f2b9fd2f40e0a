// Twilio's REST helper for Node, 6.x, against the emulator: one line for each feature.

import { restChannels } from "./features/rest-channels.mjs";
import { restConversations } from "./features/rest-conversations.mjs";
import { restLimits } from "./features/rest-limits.mjs";
import { restMessages } from "./features/rest-messages.mjs";
import { restSettings } from "./features/rest-settings.mjs";
import { Features } from "./lib/features.mjs";
import { World } from "./lib/world.mjs";

const features = new Features();
restConversations(features);
restMessages(features);
restSettings(features);
restChannels(features);
restLimits(features);
await features.run(() => World.open());
