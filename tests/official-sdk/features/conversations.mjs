// Conversations themselves: finding, making, changing and removing them.

import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";

import { refused, until } from "../lib/features.mjs";
import { happens, joined } from "../lib/world.mjs";

export function conversations(features) {
  features.add("a conversation is found by its sid", async (world) => {
    const fields = { friendlyName: "Söme name", uniqueName: world.name("by-sid"), attributes: '{"deep":{"n":[1,2]}}' };
    const { sid, conversation } = await world.seat(world.name("finder"), [], fields);
    assert.equal(conversation.sid, sid);
    assert.equal(conversation.friendlyName, fields.friendlyName);
    assert.equal(conversation.uniqueName, fields.uniqueName);
    assert.deepEqual(conversation.attributes, { deep: { n: [1, 2] } });
    assert.equal(conversation.state.current, "active");
    assert.ok(Math.abs(Date.now() - conversation.dateCreated.getTime()) < 60_000, "made about now");
  });

  features.add("a conversation is found by its unique name", async (world) => {
    const uniqueName = `${world.name("by name")}/ü`;
    const { sid, client } = await world.seat(world.name("namer"), [], { uniqueName });
    assert.equal((await client.getConversationByUniqueName(uniqueName)).sid, sid);
  });

  features.add("a conversation that is not there is not found", async (world) => {
    const client = await world.client(world.name("seeker"));
    await refused(client.getConversationBySid(`CH${"0".repeat(32)}`), 404);
    await refused(client.getConversationByUniqueName(world.name("nothing")), 404);
  });

  features.add("a client makes a conversation and joins it", async (world) => {
    const identity = world.name("maker");
    const client = await world.client(identity);
    const added = happens(client, "conversationAdded");
    const uniqueName = world.name("made");
    const made = await client.createConversation({ friendlyName: "Made", uniqueName, attributes: { by: "sdk" } });
    assert.equal((await added).sid, made.sid);
    assert.equal(made.friendlyName, "Made");
    assert.deepEqual(made.attributes, { by: "sdk" });
    const stored = await world.service.conversations(made.sid).fetch();
    assert.equal(stored.uniqueName, uniqueName);
    const entered = happens(client, "conversationJoined", (each) => each.sid === made.sid);
    await made.join();
    await entered;
    assert.equal(made.status, "joined");
    assert.equal((await made.getParticipants())[0].identity, identity);
    await refused(client.createConversation({ uniqueName }), 409, 50353);
  });

  features.add("leaving and coming back", async (world) => {
    const { sid, client, conversation } = await world.seat(world.name("commuter"));
    const left = happens(client, "conversationLeft");
    await conversation.leave();
    assert.equal((await left).sid, sid);
    assert.notEqual(conversation.status, "joined");
    assert.equal((await world.service.conversations(sid).participants.list()).length, 0);
    const back = happens(client, "conversationJoined");
    const again = await client.peekConversationBySid(sid);
    await again.join();
    assert.equal((await back).sid, sid);
  });

  features.add("a conversation one is not in can be looked at", async (world) => {
    const sid = await world.conversation([], { friendlyName: "Elsewhere" });
    const client = await world.client(world.name("peeker"));
    const seen = await client.peekConversationBySid(sid);
    assert.equal(seen.friendlyName, "Elsewhere");
    assert.notEqual(seen.status, "joined");
  });

  features.add("names and attributes are changed and everybody hears of it", async (world) => {
    const [one, two] = [world.name("changer"), world.name("hearer")];
    const { sid, conversation } = await world.seat(one, [two]);
    const other = await world.client(two);
    const theirs = await joined(other, sid);
    const changes = [
      ["friendlyName", () => conversation.updateFriendlyName("New name"), "New name"],
      ["attributes", () => conversation.updateAttributes({ new: [true, null] }), { new: [true, null] }],
      ["uniqueName", () => conversation.updateUniqueName(`${sid}-renamed`), `${sid}-renamed`],
    ];
    for (const [reason, change, value] of changes) {
      const heard = happens(theirs, "updated", (each) => each.updateReasons.includes(reason));
      await change();
      await heard;
      assert.deepEqual(theirs[reason], value);
      await until(`${reason} at home`, () => isDeepStrictEqual(conversation[reason], value));
    }
  });

  features.add("a change of state made by REST is seen", async (world) => {
    const { sid, client, conversation } = await world.seat(world.name("watcher"));
    for (const state of ["inactive", "active", "closed"]) {
      const heard = happens(client, "conversationUpdated", (each) => each.updateReasons.includes("state"));
      await world.service.conversations(sid).update({ state });
      await heard;
      assert.equal(conversation.state.current, state);
    }
    await assert.rejects(conversation.sendMessage("too late"));
  });

  features.add("a conversation is deleted", async (world) => {
    const [one, two] = [world.name("deleter"), world.name("bereft")];
    const { sid, client, conversation } = await world.seat(one, [two]);
    const other = await world.client(two);
    await joined(other, sid);
    const gone = [client, other].map((each) => happens(each, "conversationRemoved", (of) => of.sid === sid));
    await conversation.delete();
    await Promise.all(gone);
    await refused(world.service.conversations(sid).fetch(), 404, 20404);
  });

  features.add("a conversation is muted", async (world) => {
    const { client, conversation } = await world.seat(world.name("muter"));
    assert.equal(conversation.notificationLevel, "default");
    const heard = happens(client, "conversationUpdated", (each) => each.updateReasons.includes("notificationLevel"));
    await conversation.setUserNotificationLevel("muted");
    await heard;
    assert.equal(conversation.notificationLevel, "muted");
  });

  features.add("participants and messages are counted", async (world) => {
    const { sid, conversation } = await world.seat(world.name("counter"), [world.name("counted")]);
    await world.say(sid, "system", "one");
    await world.say(sid, "system", "two");
    // Counters are read through a cache of a tenth of a second.
    await until("two participants", async () => (await conversation.getParticipantsCount()) === 2);
    await until("two messages", async () => (await conversation.getMessagesCount()) === 2);
  });

  features.add("templates are read", async (world) => {
    const client = await world.client(world.name("templater"));
    assert.deepEqual(await client.getContentTemplates(), []);
  });
}
