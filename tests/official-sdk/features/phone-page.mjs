// What one can do on the page with the phones.

import assert from "node:assert/strict";

import { PATIENCE_MS, pause, until } from "../lib/features.mjs";

export function phonePage(features) {
  features.add("an SMS typed on a phone is answered", async (browser) => {
    const page = await browser.page();
    const phone = await browser.addPhone(page);
    await phone.write("hello bot");
    const shown = await answered(phone, 1);
    assert.equal(shown[0], "you: hello bot");
    assert.match(shown[1], /^bot: .*hello bot/);
  });

  features.add("after the socket was dropped an SMS has exactly one answer", async (browser) => {
    const page = await browser.page();
    const phone = await browser.addPhone(page);
    await phone.write("before the drop");
    await answered(phone, 1);
    await page.getByRole("button", { name: "Drop all sockets" }).click();
    await page.getByText("Drop all sockets: done.").waitFor();
    await phone.write("after the drop");
    await answered(phone, 2);
    // Long enough for the socket to come back and for a second answer, were there one.
    await page.getByText(/^Connected: /).waitFor({ timeout: PATIENCE_MS });
    await pause(1_500);
    const answers = (await phone.shown()).filter((each) => each.startsWith("bot: "));
    assert.equal(answers.length, 2, `answers: ${answers}`);
    assert.match(answers[1], /after the drop/);
  }, { alone: true });

  features.add("a send that is stored and then broken has exactly one answer", async (browser) => {
    const page = await browser.page();
    const phone = await browser.addPhone(page);
    await page.getByRole("button", { name: "Store the next socket send, then break" }).click();
    await page.getByText("then break: done.").waitFor();
    await phone.write("once only");
    await answered(phone, 1);
    await pause(3_000);
    assert.equal((await phone.shown()).filter((each) => each.startsWith("bot: ")).length, 1);
    await page.getByRole("button", { name: "Clear waiting faults" }).click();
  }, { alone: true });

  features.add("a phone is used by keyboard alone", async (browser) => {
    const page = await browser.page();
    const phone = await browser.addPhone(page);
    await page.keyboard.press("Tab");
    for (let presses = 0; presses < 60; presses += 1) {
      if (await phone.text.evaluate((node) => node === document.activeElement)) break;
      await page.keyboard.press("Tab");
    }
    await page.keyboard.type("by keyboard");
    await page.keyboard.press("Enter");
    const shown = await answered(phone, 1);
    assert.equal(shown[0], "you: by keyboard");
  });

  features.add("a WhatsApp phone and an SMS phone have conversations of their own", async (browser) => {
    const page = await browser.page();
    const phones = [await browser.addPhone(page), await browser.addPhone(page, "WhatsApp")];
    for (const [number, phone] of phones.entries()) await phone.write(`from phone ${number}`);
    for (const [number, phone] of phones.entries()) {
      const shown = await answered(phone, 1);
      assert.ok(shown.every((each) => each.includes(`from phone ${number}`)), `${shown}`);
    }
  });

  features.add("the timeline shows ticks, the webhooks how they were answered", async (browser) => {
    const page = await browser.page();
    const phone = await browser.addPhone(page);
    await phone.write("for the timeline");
    await answered(phone, 1);
    const number = phone.name.split(" ")[1];
    await page.getByRole("region", { name: "Threads" }).getByRole("button", { name: number }).first().click();
    await page.getByRole("list", { name: "Timeline" }).getByText("✓✓ delivered").waitFor();
    await page.locator("#webhooks").getByText(/^200 in /).first().waitFor();
  });

  features.add("a file is sent, and a text without a conversation is a thread with its ticks", async (browser) => {
    const page = await browser.page();
    const phone = await browser.addPhone(page);
    const file = { name: "dot.png", mimeType: "image/png", buffer: Buffer.from("89504e47", "hex") };
    await page.getByLabel(`File of ${phone.name}`).setInputFiles(file);
    await phone.write("look");
    await until("it is on the phone", async () => (await phone.shown()).includes("you: look (image/png)"));
    const to = phone.name.split(" ")[1];
    await browser.text(page, { From: "+15555550100", To: to, Body: "seen it" });
    const thread = page.getByRole("region", { name: "Threads" }).getByRole("button", { name: `${to} without a conversation` });
    await thread.click();
    await page.getByRole("list", { name: "Timeline" }).getByText("seen it").getByText("✓✓ delivered").waitFor();
    await until("it is on the phone", async () => (await phone.shown()).includes("bot: seen it"));
  });

  features.add("an empty phone suggests what to write", async (browser) => {
    const page = await browser.page();
    const phone = await browser.addPhone(page);
    const suggested = page.getByRole("group", { name: `Choices of ${phone.name}` }).getByRole("button");
    await suggested.filter({ hasText: "opening hours" }).click();
    const shown = await answered(phone, 1);
    assert.equal(shown[0], "you: What are your opening hours?");
    await until("nothing is suggested any more", async () => (await suggested.count()) === 0);
  });

  features.add("bubbles have times and ticks", async (browser) => {
    const page = await browser.page();
    const phone = await browser.addPhone(page);
    await phone.write("when?");
    await answered(phone, 1);
    await phone.bubbles.last().getByText("✓✓ delivered").waitFor();
    const times = await phone.bubbles.locator("time").evaluateAll((nodes) => nodes.map((node) => Date.parse(node.dateTime)));
    assert.equal(times.length, 2);
    assert.ok(times.every((time) => Math.abs(Date.now() - time) < 120_000), `${times}`);
  });

  features.add("webhooks show what they carried, and are there after a reload", async (browser) => {
    const page = await browser.page();
    const phone = await browser.addPhone(page);
    await phone.write("carried by a webhook");
    await answered(phone, 1);
    const carried = page.getByRole("list", { name: "Webhooks" }).getByRole("listitem").filter({ hasText: "onMessageAdded" });
    const ours = carried.filter({ hasText: "carried by a webhook" });
    for (const again of [false, true]) {
      if (again) {
        await page.reload();
        await page.getByText("live", { exact: true }).waitFor();
      }
      await ours.first().locator("summary").click();
      await ours.first().getByRole("cell", { name: "carried by a webhook" }).waitFor();
      await ours.first().getByText(/^200 in /).waitFor();
    }
  });

  features.add("a webhook shows headers and answer, and is sent again without a second reply", async (browser) => {
    const page = await browser.page();
    const phone = await browser.addPhone(page);
    await phone.write("told once more");
    await answered(phone, 1);
    const told = page.getByRole("list", { name: "Webhooks" }).getByRole("listitem").filter({ hasText: "onMessageAdded" });
    const ours = told.filter({ hasText: "told once more" });
    const before = await ours.count();
    const first = ours.first();
    await first.locator("summary").click();
    await first.getByRole("row", { name: /^X-Twilio-Signature .{28}$/ }).waitFor();
    await first.getByRole("heading", { name: "Answer" }).waitFor();
    await first.getByRole("button", { name: "Send again" }).click();
    await until("it went out again", async () => (await ours.count()) > before);
    const again = ours.first();
    await again.locator("summary").click();
    await again.getByText(/^200 in /).waitFor();
    await phone.write("and one more");
    const shown = await answered(phone, 2);
    assert.equal(shown.length, 4, `${shown}`);
    const asked = await page.request.post(new URL("_emulator/webhook-again", browser.address).href, { data: { delivery_id: "x" } });
    assert.equal(asked.status(), 404);
    assert.match((await asked.json()).error, /no such webhook/);
  });

  features.add("a newer typing hint is not taken away by an older one's time", async (browser) => {
    const page = await browser.page();
    const phone = await browser.addPhone(page);
    await phone.write("who types?");
    await answered(phone, 1);
    const conversation = await browser.conversationOf(page, phone);
    const hint = page.getByRole("article", { name: phone.name }).getByText("bot is typing…");
    await page.clock.install();
    await page.evaluate((sid) => happened({ kind: "typing", conversation_sid: sid, identity: "bot" }), conversation);
    await hint.waitFor();
    await page.clock.runFor(3_000);
    await page.evaluate((sid) => happened({ kind: "typing", conversation_sid: sid, identity: "bot" }), conversation);
    await page.clock.runFor(3_000);
    assert.equal(await hint.count(), 1, "the newer one has two seconds left");
    await page.clock.runFor(2_100);
    assert.equal(await hint.count(), 0);
  });

  features.add("axe finds nothing, at both widths, light and dark", async (browser) => {
    const found = [];
    for (const width of [1440, 390]) {
      for (const colorScheme of ["light", "dark"]) {
        const page = await browser.page({ width, colorScheme });
        const phone = await browser.addPhone(page);
        await phone.write("is it clear?");
        await answered(phone, 1);
        await page.getByRole("region", { name: "Threads" }).getByRole("button").first().click();
        await page.getByRole("list", { name: "Webhooks" }).locator("summary").first().click();
        for (const { id, nodes } of await browser.violations(page)) {
          found.push(...nodes.map((node) => `${width} ${colorScheme} ${id}: ${node.html.slice(0, 160)} ${node.failureSummary}`));
        }
      }
    }
    assert.deepEqual(found, []);
  });

  features.add("a list of choices is answered by a tap", async (browser) => {
    const page = await browser.page();
    const phone = await browser.addPhone(page);
    const to = phone.name.split(" ")[1];
    await browser.text(page, { From: "+15555550100", To: to, Body: "Tea or coffee?\n\n1. Tea\n2. Coffee" });
    const choices = page.getByRole("group", { name: `Choices of ${phone.name}` });
    await choices.getByRole("button", { name: "Coffee" }).click();
    await until("the number is written", async () => (await phone.shown()).includes("you: 2"));
    await until("nothing is left to choose", async () => (await choices.getByRole("button").count()) === 0);
  });

  features.add("the page fits a phone's width", async (browser) => {
    const page = await browser.page({ width: 360 });
    const phone = await browser.addPhone(page);
    await phone.write("narrow");
    await answered(phone, 1);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 360, `is ${width} pixels wide`);
  });

  features.add("every control has a name", async (browser) => {
    const page = await browser.page();
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll("button, input, select, textarea")]
        .filter((node) => !(node.ariaLabel || node.textContent.trim() || node.labels?.[0]?.textContent.trim()))
        .map((node) => node.outerHTML));
    assert.deepEqual(nameless, []);
  });

  features.add("nothing is loaded from elsewhere", async (browser) => {
    const page = await browser.page();
    const elsewhere = [];
    page.on("request", (request) => {
      if (!request.url().startsWith(browser.address)) elsewhere.push(request.url());
    });
    await page.reload();
    await page.getByText("live", { exact: true }).waitFor();
    assert.deepEqual(elsewhere, []);
  });
}

async function answered(phone, answers) {
  const enough = async () => {
    const shown = await phone.shown();
    return shown.filter((each) => each.startsWith("bot: ")).length >= answers && shown;
  };
  return until(`answer ${answers} on ${phone.name}`, enough);
}
