// The console in Chromium, with the service of `chimein demo` behind it: one line for each feature.

import { consolePages } from "./features/console.mjs";
import { ConsoleBrowser } from "./lib/console-browser.mjs";
import { Features } from "./lib/features.mjs";

// One at a time: all share the browser's cookies.
const features = new Features(1);
consolePages(features);
await features.run(() => ConsoleBrowser.open());
