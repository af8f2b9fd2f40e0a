// What one can do on the console, and what others cannot.

import assert from "node:assert/strict";
import { createServer } from "node:http";

import { until } from "../lib/features.mjs";

/** The pages, by the name of their pictures. */
const PAGES = {
  login: "login", now: "", threads: "threads", thread: "threads/", messages: "messages", message: "messages/",
  "dead-letters": "dead-letters", "dead-letter": "dead-letters/", "drop-all": "dead-letters/all?act=drop",
  setup: "setup", manual: "manual", "manual-page": "manual/operation",
};

export function consolePages(features) {
  features.add("a token signs in, a wrong one does not, and who signs out is out", async (browser) => {
    const page = await browser.at("login");
    await browser.signIn(page, "wrong");
    await page.getByRole("alert").getByText("That is not a token of this service.").waitFor();
    await browser.signIn(page, browser.tokens.act);
    await page.getByRole("heading", { name: "Now", level: 1 }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.goto(browser.to("setup"));
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await browser.signIn(page, browser.tokens.act);
  });

  features.add("who may look sees no button that acts", async (browser) => {
    const page = await browser.at("setup", { role: "read" });
    await page.getByText("may read", { exact: true }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Look again" }).count(), 0);
    await browser.context.clearCookies();
  });

  features.add("what happens shows up by itself, and waits while the feed is paused", async (browser) => {
    const page = await browser.at("", { role: "act" });
    await page.getByText("live", { exact: true }).waitFor();
    const steps = page.getByRole("listitem").filter({ hasText: "reply sent" });
    const before = await steps.count();
    await written(page, "+15557770001");
    await until("the reply's step", async () => (await steps.count()) > before);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("paused", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByText("live", { exact: true }).waitFor();
  });

  features.add("threads, messages and dead letters change by themselves, not under somebody's hands", async (browser) => {
    const threads = await browser.at("threads", { role: "act" });
    await threads.getByText("live", { exact: true }).waitFor();
    const rows = threads.locator("#threads-rows tbody tr");
    const before = await rows.count();
    await written(threads, "+15557770002");
    await until("the thread's row", async () => (await rows.count()) > before);

    await dies(threads, "+15557770003");
    const letters = await browser.at("dead-letters");
    await letters.getByText("live", { exact: true }).waitFor();
    const boxes = letters.getByRole("checkbox");
    await boxes.first().check();
    const chosen = await boxes.count();
    await dies(letters, "+15557770004");
    const badge = letters.locator("#letters-count");
    await until("the number of letters", async () => Number(await badge.textContent()) > chosen);
    assert.ok(await boxes.first().isChecked(), "what is chosen stays chosen");
    assert.equal(await boxes.count(), chosen, "the list waits while something is chosen");
    await boxes.first().uncheck();
    await letters.getByRole("heading", { level: 1 }).click();
    await until("the list", async () => (await boxes.count()) > chosen);
  });

  features.add("a message is followed from its row to its stages, and by keyboard to its text", async (browser) => {
    const page = await browser.at("messages", { role: "act" });
    await page.locator("#messages-rows tbody a").first().click();
    await page.getByRole("region", { name: "What happened, stage by stage" }).waitFor();
    await page.getByText("Where it belongs").waitFor();
    assert.ok(await page.locator("svg.lane").count() > 2);
  });

  features.add("what setup would change is shown with the command that does it", async (browser) => {
    const page = await browser.at("setup", { role: "act" });
    await page.locator("#setup-plan").getByText("Looked at").waitFor();
    await page.locator("#setup-plan").getByText("chimein setup").first().waitFor();
  });

  features.add("another look of the doctor is one button", async (browser) => {
    const page = await browser.at("setup", { role: "act" });
    await page.getByRole("button", { name: "Look again" }).click();
    await page.getByRole("heading", { name: "Setup", level: 1 }).waitFor();
  });

  features.add("the pages are walked by keyboard, and the focus is seen", async (browser) => {
    const page = await browser.at("", { role: "act" });
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the page");
    const seen = [];
    for (let presses = 0; presses < 40 && !seen.includes("Manual"); presses += 1) {
      await page.keyboard.press("Tab");
      const [text, outline] = await page.evaluate(() => {
        const node = document.activeElement;
        return [node.firstChild?.textContent.trim(), getComputedStyle(node).outlineStyle];
      });
      assert.equal(outline, "solid", text);
      seen.push(text);
    }
    for (const name of ["Now", "Setup", "Manual"]) assert.ok(seen.includes(name), `${name} of ${seen}`);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Manual", level: 1 }).waitFor();
  });

  for (const width of [1440, 390]) {
    features.add(`axe finds nothing at ${width} pixels, light and dark, and pictures are taken`, async (browser) => {
      const found = [];
      for (const colorScheme of ["light", "dark"]) found.push(...await wrongOf(browser, { width, colorScheme }));
      assert.deepEqual(found, []);
    });
  }

  features.add("nothing is loaded from elsewhere, and nothing is refused by the page's own policy", async (browser) => {
    for (const first of Object.values(PAGES)) {
      const door = await browser.at("", { role: "act" });
      await door.close();
      const path = await placeOf(browser, first);
      const page = await browser.at(path);
      const wrong = [];
      page.on("request", (request) => {
        if (!request.url().startsWith(new URL("/", browser.address).href)) wrong.push(request.url());
      });
      page.on("console", (message) => wrong.push(message.text()));
      await page.reload();
      await page.getByRole("heading", { level: 1 }).waitFor();
      assert.deepEqual(wrong, [], path);
      await page.close();
    }
  });

  features.add("a page of another origin, and a name of somebody else's, make nobody act", async (browser) => {
    const page = await browser.at("setup", { role: "act" });
    const elsewhere = await servedElsewhere();
    try {
      const evil = await browser.context.newPage();
      for (const path of ["setup/look", "login", "logout"]) {
        await evil.goto(`${elsewhere.address}?to=${encodeURIComponent(browser.to(path))}`);
        const answered = evil.waitForResponse(browser.to(path));
        await evil.getByRole("button").click();
        assert.equal((await answered).status(), 403, path);
      }
      const heard = await evil.goto(elsewhere.address).then(() => evil.evaluate(async (place) => {
        try {
          return (await fetch(place, { credentials: "include" })).status;
        } catch {
          return "nothing";
        }
      }, browser.to("/v1/queues")));
      assert.equal(heard, "nothing");
      const framed = evil.waitForEvent("framenavigated", (frame) => frame !== evil.mainFrame());
      await evil.setContent(`<iframe src="${browser.address}"></iframe>`);
      assert.equal(await (await framed).getByRole("heading").count(), 0);
      const port = new URL(browser.address).port;
      for (const path of ["console/", "v1/queues", "healthz", "metrics"]) {
        const answer = await evil.goto(`http://rebound.example:${port}/${path}`);
        assert.equal(answer.status(), 403, path);
      }
      await evil.close();
    } finally {
      elsewhere.close();
    }
    await page.reload();
    await page.getByRole("heading", { name: "Setup", level: 1 }).waitFor();
  });
}

/** What is wrong with the pages, and pictures of them; one session sees all. */
async function wrongOf(browser, { width, colorScheme }) {
  const found = [];
  for (const [name, first] of Object.entries(PAGES)) {
    if (name === "login") await browser.context.clearCookies();
    const path = await placeOf(browser, first);
    const page = await browser.at(path, { role: name === "now" ? "act" : undefined, width, colorScheme });
    if (name === "now") await page.getByText("live", { exact: true }).waitFor();
    await browser.picture(page, `${name}-${width}-${colorScheme}`);
    for (const { id, nodes } of await browser.violations(page)) {
      found.push(...nodes.map((node) => `${name} ${width} ${colorScheme} ${id}: ${node.html.slice(0, 160)} ${node.failureSummary}`));
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > width) found.push(`${name} is ${wide} pixels wide at ${width}`);
    await page.close();
  }
  return found;
}

/** A page's address: of what stands for many, the first that its list leads to. */
async function placeOf(browser, path) {
  if (!path.endsWith("/")) return path;
  const list = await browser.at(path.slice(0, -1));
  const link = list.locator(`main tbody a[href^="/console/${path}"]`).first();
  const href = await link.getAttribute("href");
  await list.close();
  return href.slice("/console/".length);
}

/** Somebody writes, and what the bot says to it is refused for good. */
async function dies(page, from) {
  const place = new URL("_emulator/faults", process.env.CHIMEIN_PHONES).href;
  const action = { action: "answer", status: 400, code: 50511 };
  for (const at of ["rest", "socket_request"]) {
    const fault = { where: { place: at, method: "POST", path: "/Messages" }, do: action, times: 1 };
    const answer = await page.request.post(place, { data: fault });
    assert.ok(answer.ok(), await answer.text());
  }
  await written(page, from);
}

/** Somebody writes, and it goes its way. */
async function written(page, from) {
  const place = new URL("_emulator/inbound", process.env.CHIMEIN_PHONES).href;
  const answer = await page.request.post(place, { data: { from, to: "+15555550100", body: "hello" } });
  assert.ok(answer.ok(), await answer.text());
}

/** A page of another origin, with a form that goes where its address says. */
async function servedElsewhere() {
  const server = createServer((request, answer) => {
    const to = new URL(request.url, "http://x").searchParams.get("to") ?? "";
    answer.setHeader("content-type", "text/html");
    answer.end(`<form method="post" action="${to}"><input name="form" value="00"><button>Win</button></form>`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { address: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}
