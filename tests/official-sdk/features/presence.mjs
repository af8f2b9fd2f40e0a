// What people do besides writing: typing, reading, being there.

import assert from "node:assert/strict";

import { pause, until } from "../lib/features.mjs";
import { collected, happens, joined } from "../lib/world.mjs";

export function presence(features) {
  features.add("typing is seen by others, and ends with the message", async (world) => {
    const [one, two] = [world.name("typist"), world.name("reader")];
    const { sid, client, conversation } = await world.seat(one, [two]);
    const other = await joined(await world.client(two), sid);
    const own = collected(client, "typingStarted");
    const started = happens(other, "typingStarted");
    await conversation.typing();
    const participant = await started;
    assert.equal(participant.identity, one);
    assert.equal(participant.isTyping, true);
    const ended = happens(other, "typingEnded");
    await conversation.sendMessage("there");
    assert.equal((await ended).identity, one);
    assert.deepEqual(own, [], "one does not see oneself type");
  });

  features.add("typing ends by itself", async (world) => {
    const [one, two] = [world.name("ponderer"), world.name("waiter")];
    const { sid, conversation } = await world.seat(one, [two]);
    const other = await joined(await world.client(two), sid);
    const started = happens(other, "typingStarted");
    const ended = happens(other, "typingEnded");
    await conversation.typing();
    await started;
    await ended;
  });

  features.add("the read horizon moves forward and others see it", async (world) => {
    const [one, two] = [world.name("reader"), world.name("writer")];
    const { sid, client, conversation } = await world.seat(one, [two]);
    const other = await joined(await world.client(two), sid);
    for (const body of ["a", "b", "c"]) await other.sendMessage(body);
    await until("three messages", async () => (await conversation.getMessages()).items.length === 3);
    const [, second, third] = (await conversation.getMessages()).items;
    const seen = happens(other, "participantUpdated", ({ participant, updateReasons }) =>
      participant.identity === one && updateReasons.includes("lastReadMessageIndex"));
    const own = happens(client, "conversationUpdated", (each) => each.updateReasons.includes("lastReadMessageIndex"));
    assert.equal(await conversation.advanceLastReadMessageIndex(second.index), 1, "one is left unread");
    await own;
    assert.equal((await seen).participant.lastReadMessageIndex, second.index);
    assert.ok((await seen).participant.lastReadTimestamp instanceof Date);
    assert.equal(conversation.lastReadMessageIndex, second.index);
    assert.equal(await conversation.setAllMessagesRead(), 0);
    await until("the newest read", () => conversation.lastReadMessageIndex === third.index);
    // Going back needs the other call; this one stays where it is.
    await conversation.advanceLastReadMessageIndex(second.index);
    await pause(150);
    assert.equal(conversation.lastReadMessageIndex, third.index);
  });

  features.add("unread messages are counted from the horizon", async (world) => {
    const { sid, conversation } = await world.seat(world.name("unreader"));
    assert.equal(await conversation.getUnreadMessagesCount(), null, "without a horizon there is no count");
    for (const body of ["a", "b", "c"]) await world.say(sid, "system", body);
    await until("three", async () => (await conversation.getMessages()).items.length === 3);
    const [first, second] = (await conversation.getMessages()).items;
    assert.equal(await conversation.updateLastReadMessageIndex(second.index), 1);
    await until("one unread", async () => (await conversation.getUnreadMessagesCount()) === 1);
    assert.equal(await conversation.updateLastReadMessageIndex(first.index), 2);
    await conversation.setAllMessagesUnread();
    await until("no horizon", () => conversation.lastReadMessageIndex === null);
  });

  features.add("a user's name and attributes are changed and others see it", async (world) => {
    const [one, two] = [world.name("renamed"), world.name("onlooker")];
    const changer = await world.client(one);
    const other = await world.client(two);
    const seen = await other.getUser(one);
    assert.equal(seen.identity, one);
    assert.equal(seen.isSubscribed, true);
    const name = happens(other, "userUpdated", (each) => each.updateReasons.includes("friendlyName"));
    await changer.user.updateFriendlyName("Änne");
    await name;
    assert.equal(seen.friendlyName, "Änne");
    const attributes = happens(other, "userUpdated", (each) => each.updateReasons.includes("attributes"));
    await changer.user.updateAttributes({ role: "agent" });
    await attributes;
    assert.deepEqual(seen.attributes, { role: "agent" });
    const [stored] = (await world.service.users.list()).filter((each) => each.identity === one);
    assert.equal(stored.friendlyName, "Änne");
  });

  features.add("coming and going of a user is seen", async (world) => {
    const [one, two] = [world.name("visitor"), world.name("doorman")];
    await world.service.users.create({ identity: one });
    const seen = await (await world.client(two)).getUser(one);
    assert.equal(seen.isOnline, false);
    const visitor = await world.client(one);
    await until("online", () => seen.isOnline === true);
    await visitor.shutdown();
    await until("offline", () => seen.isOnline === false);
  });
}
