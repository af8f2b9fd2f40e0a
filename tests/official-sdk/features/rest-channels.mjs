// REST: the plain Messages API (2010-04-01), with its own time format, paging and texts for numbers.

import assert from "node:assert/strict";

import { refused, until } from "../lib/features.mjs";

/** A messaging service of an account that has none set up: it sends from a number that is made up. */
const SERVICE = `MG${"0".repeat(32)}`;

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

  features.add("a text with files lists and describes them", async (world) => {
    const [from, to] = [world.phone(), world.phone()];
    const made = await world.twilio.messages.create({ from, to, mediaUrl: ["https://media.example.com/a.png"] });
    assert.match(made.sid, /^MM[0-9a-f]{32}$/);
    assert.equal(made.numMedia, "1");
    const message = world.twilio.messages(made.sid);
    const [file, ...others] = await message.media.list();
    assert.deepEqual(others, []);
    assert.equal((await message.media(file.sid).fetch()).parentSid, made.sid);
    assert.equal(await message.media(file.sid).remove(), true);
    assert.deepEqual(await message.media.list(), []);
  });

  features.add("a messaging service accepts a text and chooses its sender later", async (world) => {
    const made = await world.twilio.messages.create({ messagingServiceSid: SERVICE, to: world.phone(), body: "x" });
    assert.deepEqual([made.status, made.from, made.messagingServiceSid], ["accepted", null, SERVICE]);
    const message = world.twilio.messages(made.sid);
    const done = await until("delivered", async () => {
      const fetched = await message.fetch();
      return fetched.status === "delivered" ? fetched : undefined;
    });
    assert.ok(done.from.startsWith("+") && done.dateSent instanceof Date);
  });

  features.add("a scheduled text is taken back once", async (world) => {
    const sendAt = new Date(Date.now() + 3_600_000);
    const fields = { messagingServiceSid: SERVICE, scheduleType: "fixed", sendAt, body: "later" };
    const made = await world.twilio.messages.create({ to: world.phone(), ...fields });
    assert.equal(made.status, "scheduled");
    const message = world.twilio.messages(made.sid);
    assert.equal((await message.update({ status: "canceled" })).status, "canceled");
    await refused(message.update({ status: "canceled" }), 400, 30409);
  });

  features.add("texts are listed by the time they were sent", async (world) => {
    const [from, to] = [world.phone(), world.phone()];
    const { sid } = await world.twilio.messages.create({ from, to, body: "today" });
    const [before, after] = [new Date(Date.now() - 60_000), new Date(Date.now() + 60_000)];
    for (const [filter, wanted] of [
      [{ dateSentAfter: before }, [sid]],
      [{ dateSentBefore: after }, [sid]],
      [{ dateSentAfter: after }, []],
      [{ dateSentBefore: before }, []],
    ]) {
      const listed = await world.twilio.messages.list({ to, from, ...filter });
      assert.deepEqual(listed.map((each) => each.sid), wanted, JSON.stringify(filter));
    }
  });
}
