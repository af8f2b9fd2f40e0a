// Messages: sending, reading, changing, and what becomes of them at a phone.

import assert from "node:assert/strict";

import { pause, refused, until } from "../lib/features.mjs";
import { collected, everything, happens, joined } from "../lib/world.mjs";

const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

export function messages(features) {
  sending(features);
  reading(features);
  changing(features);
  phones(features);
}

function sending(features) {
  features.add("a text is sent and everybody gets it", async (world) => {
    const [one, two] = [world.name("sender"), world.name("receiver")];
    const { sid, client, conversation } = await world.seat(one, [two]);
    const other = await world.client(two);
    await joined(other, sid);
    const heard = [client, other].map((each) => happens(each, "messageAdded"));
    const body = "Grüße, 你好 👋\r\nsecond line";
    assert.equal(await conversation.sendMessage(body), 0, "the first index");
    const [me] = (await conversation.getParticipants()).filter((each) => each.identity === one);
    for (const message of await Promise.all(heard)) {
      assert.equal(message.body, body);
      assert.equal(message.author, one);
      assert.equal(message.index, 0);
      assert.equal(message.participantSid, me.sid);
      assert.equal(message.type, "text");
      assert.deepEqual(message.attributes, {});
      assert.equal((await message.getParticipant()).identity, one);
      assert.ok(Math.abs(Date.now() - message.dateCreated.getTime()) < 60_000);
    }
    const [stored] = await world.service.conversations(sid).messages.list();
    assert.equal(stored.body, body);
    assert.equal(stored.author, one);
    assert.equal(stored.index, 0);
  });

  features.add("attributes go with a message", async (world) => {
    const { sid, client, conversation } = await world.seat(world.name("attributor"));
    const heard = happens(client, "messageAdded");
    await conversation.sendMessage("x", { k: [1, "ü"], nested: { none: null } });
    assert.deepEqual((await heard).attributes, { k: [1, "ü"], nested: { none: null } });
    const [stored] = await world.service.conversations(sid).messages.list();
    assert.deepEqual(JSON.parse(stored.attributes), { k: [1, "ü"], nested: { none: null } });
  });

  features.add("a long text of many-byte characters arrives whole", async (world) => {
    const { client, conversation } = await world.seat(world.name("novelist"));
    const heard = happens(client, "messageAdded");
    const body = "ü€".repeat(6_000);
    await conversation.sendMessage(body);
    assert.equal((await heard).body, body);
  });

  features.add("media is sent and fetched", async (world) => {
    const [one, two] = [world.name("painter"), world.name("viewer")];
    const { sid, conversation } = await world.seat(one, [two]);
    const other = await joined(await world.client(two), sid);
    const heard = happens(other, "messageAdded");
    await conversation.sendMessage({ contentType: "image/png", filename: "dot.png", media: PNG });
    const message = await heard;
    assert.equal(message.type, "media");
    const [media] = message.attachedMedia;
    assert.match(media.sid, /^ME[0-9a-f]{32}$/);
    assert.equal(media.contentType, "image/png");
    assert.equal(media.filename, "dot.png");
    assert.equal(media.size, PNG.length);
    const url = await media.getContentTemporaryUrl();
    const content = Buffer.from(await (await fetch(url)).arrayBuffer());
    assert.deepEqual(content, PNG);
    const urls = await message.getTemporaryContentUrlsForAttachedMedia();
    assert.equal(urls.size, 1);
  });

  features.add("a message is built with body, attributes and several media", async (world) => {
    const { client, conversation } = await world.seat(world.name("builder"));
    const heard = happens(client, "messageAdded");
    const index = await conversation
      .prepareMessage()
      .setBody("two files")
      .setAttributes({ built: true })
      .addMedia({ contentType: "image/png", filename: "a.png", media: PNG })
      .addMedia({ contentType: "text/plain", filename: "b.txt", media: Buffer.from("text") })
      .buildAndSend();
    const message = await heard;
    assert.equal(message.index, index);
    assert.equal(message.body, "two files");
    assert.deepEqual(message.attributes, { built: true });
    assert.deepEqual(message.attachedMedia.map((each) => each.filename).sort(), ["a.png", "b.txt"]);
  });

  features.add("a message made by REST arrives", async (world) => {
    const { sid, client } = await world.seat(world.name("listener"));
    const heard = happens(client, "messageAdded");
    const stored = await world.say(sid, "system", "by REST", { attributes: '{"r":1}' });
    const message = await heard;
    assert.equal(message.sid, stored.sid);
    assert.equal(message.index, stored.index);
    assert.equal(message.author, "system");
    assert.deepEqual(message.attributes, { r: 1 });
  });

  features.add("who is not in a conversation cannot write there", async (world) => {
    const sid = await world.conversation();
    const client = await world.client(world.name("outsider"));
    const conversation = await client.peekConversationBySid(sid);
    await refused(conversation.sendMessage("let me in"), 403);
  });

  features.add("many messages at once are numbered once each", async (world) => {
    const { client, conversation } = await world.seat(world.name("chatterbox"));
    const heard = collected(client, "messageAdded");
    const indexes = await Promise.all(Array.from({ length: 20 }, (_, n) => conversation.sendMessage(`${n}`)));
    assert.equal(new Set(indexes).size, 20);
    await until("all heard", () => heard.length >= 20);
    await pause(200);
    assert.deepEqual(heard.map((message) => message.index).sort((a, b) => a - b), indexes.sort((a, b) => a - b));
  });
}

function reading(features) {
  features.add("messages are read in pages, backwards and forwards", async (world) => {
    const identity = world.name("archivist");
    const sid = await world.conversation([identity]);
    for (let n = 0; n < 75; n += 1) await world.say(sid, "system", `m${n}`);
    const client = await world.client(identity);
    const conversation = await client.getConversationBySid(sid);
    const bodies = (page) => page.items.map((message) => message.body);
    const named = (from, to) => Array.from({ length: to - from }, (_, n) => `m${from + n}`);

    const newest = await conversation.getMessages(20);
    assert.deepEqual(bodies(newest), named(55, 75));
    assert.equal(newest.hasPrevPage, true);
    assert.equal(newest.hasNextPage, false);
    let page = newest;
    let all = bodies(page);
    while (page.hasPrevPage) {
      page = await page.prevPage();
      all = [...bodies(page), ...all];
    }
    assert.deepEqual(all, named(0, 75));

    const first = await conversation.getMessages(20, 0, "forward");
    assert.equal(first.hasNextPage, true);
    assert.deepEqual((await everything(first)).map((message) => message.body), named(0, 75));
    const anchor = newest.items[5].index;
    assert.deepEqual(bodies(await conversation.getMessages(3, anchor)), named(58, 61));
  });

  features.add("the last message is known to the conversation", async (world) => {
    const { sid, conversation } = await world.seat(world.name("last"));
    const heard = happens(conversation, "updated", (each) => each.updateReasons.includes("lastMessage"));
    const stored = await world.say(sid, "system", "the last");
    await heard;
    assert.equal(conversation.lastMessage.index, stored.index);
    assert.ok(conversation.lastMessage.dateCreated instanceof Date);
  });

  features.add("the message that made the conversation is found by reading", async (world) => {
    const bot = world.name("bot");
    const client = await world.client(bot);
    const heard = collected(client, "messageAdded");
    const [from, to] = [world.phone(), world.phone()];
    await world.emulator.sms(from, to, "am I the first?");
    const [made] = await world.service.participantConversations.list({ address: from });
    const entered = happens(client, "conversationJoined", (each) => each.sid === made.conversationSid);
    await world.join(made.conversationSid, bot);
    const conversation = await entered;
    // Nothing is read before the second has come: an item that is read before its replay hides that.
    await world.emulator.sms(from, to, "and the second");
    await until("the second", () => heard.some((message) => message.body === "and the second"));
    assert.equal(heard.length, 1, "what was there before is no event");
    const [first] = (await conversation.getMessages()).items;
    assert.equal(first.body, "am I the first?");
    assert.equal(first.author, from);
    assert.equal(first.index, 0);
  });

  features.add("a message without channel metadata or recipients says so", async (world) => {
    const { client, conversation } = await world.seat(world.name("curious"));
    const heard = happens(client, "messageAdded");
    await conversation.sendMessage("plain");
    const message = await heard;
    assert.equal(await message.getChannelMetadata(), null);
    assert.deepEqual(await message.getMessageRecipients(), []);
  });
}

function changing(features) {
  features.add("a message is edited and everybody hears of it", async (world) => {
    const [one, two] = [world.name("corrector"), world.name("proofreader")];
    const { sid, client, conversation } = await world.seat(one, [two]);
    const other = await world.client(two);
    await joined(other, sid);
    const arrived = [client, other].map((each) => happens(each, "messageAdded"));
    await conversation.sendMessage("tpyo");
    const [mine, theirs] = await Promise.all(arrived);
    const body = happens(other, "messageUpdated", (each) => each.updateReasons.includes("body"));
    await mine.updateBody("typo");
    await body;
    assert.equal(theirs.body, "typo");
    assert.equal(theirs.lastUpdatedBy, one);
    const attributes = happens(other, "messageUpdated", (each) => each.updateReasons.includes("attributes"));
    await mine.updateAttributes({ edited: 1 });
    await attributes;
    assert.deepEqual(theirs.attributes, { edited: 1 });
    assert.equal(theirs.index, 0, "an edit keeps the place");
    assert.equal(theirs.body, "typo", "one change keeps the other");
    const stored = await world.service.conversations(sid).messages(theirs.sid).fetch();
    assert.equal(stored.body, "typo");
  });

  features.add("a message is removed and everybody hears of it", async (world) => {
    const [one, two] = [world.name("regretter"), world.name("forgetter")];
    const { sid, client, conversation } = await world.seat(one, [two]);
    const other = await world.client(two);
    const theirs = await joined(other, sid);
    const arrived = [client, other].map((each) => happens(each, "messageAdded"));
    await conversation.sendMessage("oops");
    const [mine] = await Promise.all(arrived);
    const gone = happens(other, "messageRemoved");
    await mine.remove();
    assert.equal((await gone).body, "oops");
    assert.deepEqual((await theirs.getMessages()).items, []);
    assert.deepEqual(await world.service.conversations(sid).messages.list(), []);
  });

  features.add("an index is never used again", async (world) => {
    const { sid, client, conversation } = await world.seat(world.name("indexer"));
    const heard = collected(client, "messageAdded");
    await conversation.sendMessage("first");
    await until("the first", () => heard.length === 1);
    await heard[0].updateBody("first, edited");
    await heard[0].remove();
    await conversation.sendMessage("second");
    await world.say(sid, "system", "third");
    await until("all three", () => heard.length === 3);
    const [first, second, third] = heard.map((message) => message.index);
    assert.ok(first < second && second < third, `indexes ${[first, second, third]}`);
    const stored = await world.service.conversations(sid).messages.list();
    assert.deepEqual(stored.map((message) => message.index), [second, third]);
  });
}

function phones(features) {
  features.add("a message to a phone gets its receipts", async (world) => {
    const { sid, client, conversation } = await world.seat(world.name("notifier"));
    const [proxy, address] = [world.phone(), world.phone()];
    const phone = await conversation.addNonChatParticipant(proxy, address);
    const arrived = happens(client, "messageAdded");
    const reasons = collected(client, "messageUpdated");
    await conversation.sendMessage("to the phone");
    const message = await arrived;
    await until("delivered to all", () => message.aggregatedDeliveryReceipt?.delivered === "all");
    assert.ok(reasons.some((each) => each.updateReasons.includes("deliveryReceipt")));
    assert.equal(message.aggregatedDeliveryReceipt.total, 1);
    assert.equal(message.aggregatedDeliveryReceipt.sent, "all");
    assert.equal(message.aggregatedDeliveryReceipt.failed, "none");
    const [receipt, ...others] = await message.getDetailedDeliveryReceipts();
    assert.deepEqual(others, []);
    assert.equal(receipt.status, "delivered");
    assert.equal(receipt.participantSid, phone.sid);
    assert.equal(receipt.messageSid, message.sid);
    assert.equal(receipt.conversationSid, sid);
    assert.match(receipt.channelMessageSid, /^(SM|MM|WA)[0-9a-f]{32}$/);
  });

  features.add("a phone's message arrives with its author", async (world) => {
    const { client, conversation } = await world.seat(world.name("operator"));
    const [proxy, address] = [world.phone(), world.phone()];
    const phone = await conversation.addNonChatParticipant(proxy, address);
    const heard = happens(client, "messageAdded");
    await world.emulator.sms(address, proxy, "from the phone");
    const message = await heard;
    assert.equal(message.body, "from the phone");
    assert.equal(message.author, address);
    assert.equal(message.participantSid, phone.sid);
  });
}
