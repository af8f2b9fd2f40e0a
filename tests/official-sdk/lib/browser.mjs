// Chromium with the page of the phones. `CHIMEIN_PHONES` is the page's address, `CHIMEIN_CHROMIUM` the program.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

const FLAGS = [
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  // A name that somebody else leads to this machine.
  "--host-resolver-rules=MAP rebound.example 127.0.0.1",
  "--no-first-run",
];

let numbers = 0;

export class Browser {
  #pages = [];

  static async open() {
    const profile = await mkdtemp(join(tmpdir(), "chimein-browser-"));
    const context = await chromium.launchPersistentContext(profile, {
      args: FLAGS,
      chromiumSandbox: false,
      executablePath: process.env.CHIMEIN_CHROMIUM ?? "/usr/bin/chromium",
      headless: true,
    });
    return new this(context, profile);
  }

  constructor(context, profile) {
    this.context = context;
    this.profile = profile;
    this.address = process.env.CHIMEIN_PHONES;
    this.emulator = { close: () => this.close() };
  }

  apart() {
    return new Browser(this.context, this.profile);
  }

  /** The page, live, in a tab of its own. */
  async page(options = {}) {
    const page = await this.context.newPage();
    this.#pages.push(page);
    page.on("pageerror", (error) => process.emit("uncaughtException", error));
    if (options.width) await page.setViewportSize({ width: options.width, height: 700 });
    if (options.colorScheme) await page.emulateMedia({ colorScheme: options.colorScheme });
    await page.goto(this.address);
    await page.getByText("live", { exact: true }).waitFor();
    return page;
  }

  /** Adds a phone that nobody else has; gives its number. */
  async addPhone(page, channel = "SMS") {
    numbers += 1;
    const number = `+1555777${String(1000 + numbers)}`;
    await page.getByLabel("Channel").selectOption(channel);
    await page.getByLabel("Number of the phone").fill(number);
    await page.getByRole("button", { name: "Add phone" }).click();
    return this.phone(page, `${channel} ${number}`);
  }

  /** A phone that is there, by its channel and number. */
  phone(page, name) {
    return new Phone(page, name);
  }

  /** Sends a text without a conversation, as a bot does. */
  async text(page, fields) {
    const info = await (await page.request.get(new URL("_emulator/info", this.address).href)).json();
    const path = `2010-04-01/Accounts/${info.account_sid}/Messages.json`;
    const basic = Buffer.from(`${info.account_sid}:${info.auth_token}`).toString("base64");
    const answer = await page.request.post(new URL(path, info.api_url).href, {
      form: fields,
      headers: { authorization: `Basic ${basic}` },
    });
    if (!answer.ok()) throw new Error(`the text was refused: ${await answer.text()}`);
  }

  /** The sid of the conversation that a phone talks in. */
  async conversationOf(page, phone) {
    const address = phone.name.split(" ")[1];
    const { conversations } = await (await page.request.get(new URL("_emulator/dump", this.address).href)).json();
    const has = (one) => one.participants.some((each) => each.messaging_binding?.address === address);
    return conversations.find(has).sid;
  }

  /** What axe-core has against the page as it is. */
  async violations(page) {
    // The page's own policy lets no script in; a debugger's is none of the page's.
    await page.evaluate(await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
    return (await page.evaluate(() => axe.run())).violations;
  }

  async leaveAll() {
    await Promise.allSettled(this.#pages.map((page) => page.close()));
  }

  async close() {
    await this.context.close();
    await rm(this.profile, { recursive: true, force: true });
  }
}

/** One phone on the page. */
class Phone {
  constructor(page, name) {
    this.name = name;
    this.text = page.getByLabel(`Message from ${name}`);
    this.bubbles = page.getByRole("list", { name: `Messages of ${name}` }).getByRole("listitem");
    this.send = page.getByRole("article", { name }).getByRole("button", { name: "Send" });
  }

  /** Types a text and sends it. */
  async write(text) {
    await this.text.fill(text);
    await this.send.click();
  }

  /** What it shows, oldest first: `you: …` or `<author>: …`. */
  async shown() {
    const bubbles = await this.bubbles.evaluateAll((nodes) =>
      nodes.map((node) => [node.classList.contains("mine"), node.firstChild.textContent]));
    return bubbles.map(([mine, text]) => `${mine ? "you" : "bot"}: ${text}`);
  }
}
