// The picture of the page that the README shows: two people in talk with the bot of `chimein demo`. `CHIMEIN_PICTURE` is
// the file to write.

import { Browser } from "./lib/browser.mjs";
import { until } from "./lib/features.mjs";

const SIZE = { width: 1280, height: 620 };

const browser = await Browser.open();
try {
  const page = await browser.page();
  await page.setViewportSize(SIZE);
  const talks = [
    ["WhatsApp +15555550177", ["Where is my parcel?"]],
    ["SMS +15555550123", ["Is the shop open on Sunday?", "And on Monday?"]],
  ];
  for (const [name, texts] of talks) {
    const phone = browser.phone(page, name);
    for (const [count, text] of texts.entries()) {
      await phone.write(text);
      await until("an answer", async () => (await phone.shown()).length === 2 * (count + 1));
    }
  }
  const number = talks.at(-1)[0].split(" ")[1];
  await page.getByRole("region", { name: "Threads" }).getByRole("button", { name: number }).first().click();
  const ticks = page.getByRole("list", { name: "Timeline" }).getByText("✓✓ delivered");
  await until("ticks for both answers", async () => (await ticks.count()) === 2);
  await page.evaluate(() => {
    document.activeElement?.blur();
    scrollTo(0, 0);
  });
  await page.screenshot({ path: process.env.CHIMEIN_PICTURE });
} finally {
  await browser.close();
}
