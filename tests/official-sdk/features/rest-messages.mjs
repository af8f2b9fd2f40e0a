// REST: messages of a conversation, and their receipts.

import assert from "node:assert/strict";

import { refused, until } from "../lib/features.mjs";

export function restMessages(features) {
  for (const scope of ["account", "service"]) {
    features.add(`a message's life by the ${scope}'s path`, async (world) => {
      const sid = await world.conversation([]);
      const identity = world.name("author");
      const participant = await world.join(sid, identity);
      const api = world[scope].conversations(sid).messages;
      const made = await api.create({ author: identity, body: "Grüße 👋 & more + %", attributes: '{"k":"ü"}' });
      assert.match(made.sid, /^IM[0-9a-f]{32}$/);
      assert.equal(made.index, 0);
      assert.equal(made.body, "Grüße 👋 & more + %");
      assert.equal(made.participantSid, participant.sid);
      assert.equal(made.delivery, null);
      assert.equal(made.media, null);
      assert.ok(made.links.delivery_receipts.endsWith(`/Messages/${made.sid}/Receipts`));
      const message = world[scope].conversations(sid).messages(made.sid);
      assert.equal((await message.fetch()).body, made.body);
      const changed = await message.update({ body: "other" });
      assert.equal(changed.body, "other");
      assert.equal(changed.attributes, '{"k":"ü"}');
      assert.equal(changed.index, 0);
      assert.equal(await message.remove(), true);
      await refused(message.fetch(), 404);
    });
  }

  features.add("a message has defaults for all it is not told", async (world) => {
    const sid = await world.conversation();
    const made = await world.account.conversations(sid).messages.create({ body: "x" });
    assert.equal(made.author, "system");
    assert.equal(made.attributes, "{}");
    assert.equal(made.participantSid, null);
  });

  features.add("messages are listed both ways and in pages", async (world) => {
    const sid = await world.conversation();
    const wanted = [];
    for (let n = 0; n < 11; n += 1) wanted.push((await world.say(sid, "system", `m${n}`)).sid);
    for (const api of [world.account, world.service]) {
      const { messages } = api.conversations(sid);
      const sids = (listed) => listed.map((each) => each.sid);
      assert.deepEqual(sids(await messages.list()), wanted, "oldest first unless asked otherwise");
      assert.deepEqual(sids(await messages.list({ order: "asc", pageSize: 4 })), wanted);
      assert.deepEqual(sids(await messages.list({ order: "desc", pageSize: 4 })), [...wanted].reverse());
      assert.deepEqual(sids(await messages.list({ order: "desc", pageSize: 5, limit: 7 })), [...wanted].reverse().slice(0, 7));
    }
  });

  features.add("indexes grow with every message", async (world) => {
    const sid = await world.conversation();
    const indexes = [];
    for (let n = 0; n < 5; n += 1) indexes.push((await world.say(sid, "system", "x")).index);
    assert.equal(indexes[0], 0);
    for (let n = 1; n < 5; n += 1) assert.ok(indexes[n] > indexes[n - 1], `indexes ${indexes}`);
  });

  features.add("a message without body, or with bad attributes, is refused", async (world) => {
    const { messages } = world.service.conversations(await world.conversation());
    await refused(messages.create({}), 400, 50503);
    await refused(messages.create({ body: "x", attributes: "{" }), 400, 50304);
    await refused(messages.create({ body: "x".repeat(33_000) }), 400, 50504);
    await refused(messages.create({ body: "x", attributes: `{"a":"${"x".repeat(4_100)}"}` }), 400, 50303);
  });

  features.add("a closed conversation takes no message", async (world) => {
    const sid = await world.conversation();
    await world.service.conversations(sid).update({ state: "closed" });
    await refused(world.say(sid, "system", "late"), 400, 50377);
  });

  features.add("receipts say what became of a message", async (world) => {
    const sid = await world.conversation();
    const [address, proxy] = [world.phone(), world.phone()];
    const phone = await world.service.conversations(sid).participants.create({
      "messagingBinding.address": address,
      "messagingBinding.proxyAddress": proxy,
    });
    const made = await world.say(sid, "system", "to the phone");
    for (const api of [world.account, world.service]) {
      const message = api.conversations(sid).messages(made.sid);
      const delivered = async () => (await message.fetch()).delivery?.delivered === "all";
      await until("delivered", delivered);
      const [receipt, ...others] = await message.deliveryReceipts.list();
      assert.deepEqual(others, []);
      assert.equal(receipt.status, "delivered");
      assert.equal(receipt.participantSid, phone.sid);
      assert.equal(receipt.errorCode, 0);
      assert.match(receipt.sid, /^DY[0-9a-f]{32}$/);
      assert.equal((await message.deliveryReceipts(receipt.sid).fetch()).channelMessageSid, receipt.channelMessageSid);
    }
  });

  features.add("an SMS of over 1,600 characters fails", async (world) => {
    const sid = await world.conversation();
    await world.service.conversations(sid).participants.create({
      "messagingBinding.address": world.phone(),
      "messagingBinding.proxyAddress": world.phone(),
    });
    const made = await world.say(sid, "system", "x".repeat(1_601));
    const message = world.service.conversations(sid).messages(made.sid);
    await until("failed", async () => (await message.fetch()).delivery?.failed === "all");
    const [receipt] = await message.deliveryReceipts.list();
    assert.equal(receipt.status, "failed");
    assert.ok(receipt.errorCode > 0);
  });

  features.add("whoever answered STOP gets nothing until START", async (world) => {
    const sid = await world.conversation();
    const [address, proxy] = [world.phone(), world.phone()];
    await world.service.conversations(sid).participants.create({
      "messagingBinding.address": address,
      "messagingBinding.proxyAddress": proxy,
    });
    await world.emulator.sms(address, proxy, "STOP");
    const lost = await world.say(sid, "system", "advertisement");
    const receipts = () => world.service.conversations(sid).messages(lost.sid).deliveryReceipts.list();
    await until("failed with 21610", async () => (await receipts())[0]?.errorCode === 21610);
    await world.emulator.sms(address, proxy, "START");
    const made = await world.say(sid, "system", "welcome back");
    const message = world.service.conversations(sid).messages(made.sid);
    await until("delivered", async () => (await message.fetch()).delivery?.delivered === "all");
  });

  features.add("free text to WhatsApp needs a message of the user in the last day", async (world) => {
    const sid = await world.conversation();
    const [address, proxy] = [`whatsapp:${world.phone()}`, `whatsapp:${world.phone()}`];
    await world.service.conversations(sid).participants.create({
      "messagingBinding.address": address,
      "messagingBinding.proxyAddress": proxy,
    });
    const early = await world.say(sid, "system", "out of the blue");
    const receipts = () => world.service.conversations(sid).messages(early.sid).deliveryReceipts.list();
    await until("failed with 63016", async () => (await receipts())[0]?.errorCode === 63016);
    await world.emulator.sms(address, proxy, "hello");
    const made = await world.say(sid, "system", "an answer");
    const message = world.service.conversations(sid).messages(made.sid);
    await until("delivered", async () => (await message.fetch()).delivery?.delivered === "all");
  });

  features.add("a 429 is tried again by the helper and the message stored once", async (world) => {
    const sid = await world.conversation();
    await world.emulator.fault({ place: "rest", method: "POST", path: `${sid}/Messages` }, { action: "answer", status: 429, code: 20429 }, 2);
    await world.say(sid, "system", "patience");
    assert.equal((await world.service.conversations(sid).messages.list()).length, 1);
  });

  features.add("a create whose answer is lost is stored once", async (world) => {
    const sid = await world.conversation();
    await world.emulator.fault({ place: "rest", method: "POST", path: `${sid}/Messages` }, { action: "break_after" });
    await assert.rejects(world.say(sid, "system", "did it arrive?"));
    const stored = await world.service.conversations(sid).messages.list();
    assert.deepEqual(stored.map((message) => message.body), ["did it arrive?"]);
  });
}
