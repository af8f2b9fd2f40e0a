// REST: the plain Messages API (2010-04-01), with its own time format, paging and texts for numbers.

import assert from "node:assert/strict";

import { refused } from "../lib/features.mjs";

export function restChannels(features) {
  features.add("a plain message is sent and fetched", async (world) => {
    const [from, to] = [world.phone(), world.phone()];
    const made = await world.twilio.messages.create({ from, to, body: "plain ü" });
    assert.match(made.sid, /^SM[0-9a-f]{32}$/);
    assert.equal(made.status, "queued");
    assert.equal(made.direction, "outbound-api");
    assert.equal(made.numMedia, "0");
    assert.equal(made.numSegments, "1");
    assert.equal(made.apiVersion, "2010-04-01");
    assert.ok(made.dateCreated instanceof Date && !Number.isNaN(made.dateCreated.getTime()));
    const fetched = await world.twilio.messages(made.sid).fetch();
    assert.equal(fetched.body, "plain ü");
    assert.equal(fetched.uri, `/2010-04-01/Accounts/${world.emulator.credentials.account_sid}/Messages/${made.sid}.json`);
  });

  features.add("plain messages are listed in pages and by number", async (world) => {
    const [from, to] = [world.phone(), world.phone()];
    for (let n = 0; n < 5; n += 1) await world.twilio.messages.create({ from, to, body: `${n}` });
    await world.twilio.messages.create({ from, to: world.phone(), body: "elsewhere" });
    const listed = await world.twilio.messages.list({ to, pageSize: 2 });
    assert.deepEqual(listed.map((each) => each.body).sort(), ["0", "1", "2", "3", "4"]);
  });

  features.add("a plain message without text, sender or recipient is refused", async (world) => {
    const [from, to] = [world.phone(), world.phone()];
    await refused(world.twilio.messages.create({ from, to }), 400, 21602);
    await refused(world.twilio.messages.create({ to, body: "x" }), 400, 21603);
    await refused(world.twilio.messages.create({ from, to: "", body: "x" }), 400, 21604);
    await refused(world.twilio.messages.create({ from, to, body: "x".repeat(1_601) }), 400, 21617);
  });

  features.add("a plain message's text is redacted and the message removed", async (world) => {
    const made = await world.twilio.messages.create({ from: world.phone(), to: world.phone(), body: "secret" });
    const message = world.twilio.messages(made.sid);
    assert.equal((await message.update({ body: "" })).body, "");
    assert.equal(await message.remove(), true);
    await refused(message.fetch(), 404, 20404);
  });
}
