// Chromium with the console. `CHIMEIN_CONSOLE` is its address, `CHIMEIN_ADMIN_TOKEN` and `CHIMEIN_READ_TOKEN` sign in,
// `CHIMEIN_SCREENSHOTS` is the folder for pictures.

import { join } from "node:path";

import { Browser } from "./browser.mjs";

export class ConsoleBrowser extends Browser {
  #tabs = [];
  address = process.env.CHIMEIN_CONSOLE;
  tokens = { act: process.env.CHIMEIN_ADMIN_TOKEN, read: process.env.CHIMEIN_READ_TOKEN };

  apart() {
    return new ConsoleBrowser(this.context, this.profile);
  }

  /** A tab of its own, which is at a page of the console; signed in for `role`, if there is one. */
  async at(path, { role, width = 1440, colorScheme = "light" } = {}) {
    const page = await this.context.newPage();
    this.#tabs.push(page);
    page.on("pageerror", (error) => process.emit("uncaughtException", error));
    await page.setViewportSize({ width, height: width < 600 ? 844 : 900 });
    await page.emulateMedia({ colorScheme });
    if (role) {
      await this.context.clearCookies();
      await this.signIn(page, this.tokens[role]);
    }
    await page.goto(this.to(path));
    return page;
  }

  /** Signs in by the form. */
  async signIn(page, token) {
    await page.goto(this.to("login"));
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
  }

  /** The address of a page. */
  to(path) {
    return new URL(path, this.address).href;
  }

  /** Takes a picture of the whole page. */
  async picture(page, name) {
    await page.screenshot({ path: join(process.env.CHIMEIN_SCREENSHOTS, `console-${name}.png`), fullPage: true });
  }

  async leaveAll() {
    await Promise.allSettled(this.#tabs.map((page) => page.close()));
  }
}
