// The emulator's webhooks, received and checked with Twilio's own validator: one line for each feature.

import { webhookEvents } from "./features/webhook-events.mjs";
import { webhookPreActions } from "./features/webhook-pre-actions.mjs";
import { Features } from "./lib/features.mjs";
import { World } from "./lib/world.mjs";

const features = new Features();
webhookEvents(features);
webhookPreActions(features);
await features.run(() => World.open());
