// The page with the phones in Chromium, with the bot of `chimein demo` behind it: one line for each feature.

import { phonePage } from "./features/phone-page.mjs";
import { Browser } from "./lib/browser.mjs";
import { Features } from "./lib/features.mjs";

// One at a time: a browser opens six connections to one host, and every page keeps one for its events.
const features = new Features(1);
phonePage(features);
await features.run(() => Browser.open());
