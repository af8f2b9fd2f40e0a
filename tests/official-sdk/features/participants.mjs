// Who is in a conversation: chat users, phones, and their coming and going.

import assert from "node:assert/strict";

import { refused } from "../lib/features.mjs";
import { happens, joined, participantOf } from "../lib/world.mjs";

export function participants(features) {
  features.add("being added by REST joins the conversation at once", async (world) => {
    const identity = world.name("bot");
    const client = await world.client(identity);
    const sid = await world.conversation();
    const added = happens(client, "conversationAdded", (each) => each.sid === sid);
    const entered = happens(client, "conversationJoined", (each) => each.sid === sid);
    await world.join(sid, identity);
    await added;
    assert.equal((await entered).status, "joined");
  });

  features.add("a participant is added and everybody hears of it", async (world) => {
    const [one, two, three] = [world.name("host"), world.name("witness"), world.name("guest")];
    const { sid, conversation } = await world.seat(one, [two]);
    const other = await joined(await world.client(two), sid);
    const heard = happens(other, "participantJoined");
    const answer = await conversation.add(three, { seat: 3 });
    assert.match(answer.sid, /^MB[0-9a-f]{32}$/);
    assert.equal(answer.identity, three);
    assert.equal((await heard).identity, three);
    const found = await participantOf(conversation, three);
    assert.equal(found.sid, answer.sid);
    assert.equal(found.type, "chat");
    assert.deepEqual(found.attributes, { seat: 3 });
    assert.equal((await conversation.getParticipantBySid(answer.sid)).identity, three);
    assert.deepEqual((await conversation.getParticipants()).map((each) => each.identity).sort(), [one, two, three].sort());
  });

  features.add("adding a participant twice is 409 with code 50433", async (world) => {
    const { sid, conversation } = await world.seat(world.name("adder"));
    const guest = world.name("double");
    await conversation.add(guest);
    await refused(conversation.add(guest), 409, 50433);
    await refused(world.join(sid, guest), 409, 50433);
    assert.equal((await world.service.conversations(sid).participants.list()).length, 2);
  });

  features.add("an SMS participant is added", async (world) => {
    await phone(world, "", "sms");
  });

  features.add("a WhatsApp participant is added", async (world) => {
    await phone(world, "whatsapp:", "whatsapp");
  });

  features.add("a pair of addresses is in one open conversation only", async (world) => {
    const { sid, conversation } = await world.seat(world.name("first"));
    const [proxy, address] = [world.phone(), world.phone()];
    await conversation.addNonChatParticipant(proxy, address);
    const { conversation: second } = await world.seat(world.name("second"));
    const error = await refused(second.addNonChatParticipant(proxy, address), 409, 50416);
    assert.ok(error.body.message.includes(sid), `names the conversation: ${error.body.message}`);
    await world.service.conversations(sid).update({ state: "closed" });
    await second.addNonChatParticipant(proxy, address);
  });

  features.add("a participant is removed by sid and by identity", async (world) => {
    const [one, two, three] = [world.name("keeper"), world.name("by-sid"), world.name("by-identity")];
    const { sid, conversation } = await world.seat(one, [two, three]);
    const other = await world.client(two);
    await joined(other, sid);
    const left = happens(other, "conversationLeft", (each) => each.sid === sid);
    const participant = await participantOf(conversation, two);
    for (const [which, identity] of [[participant.sid, two], [three, three]]) {
      const heard = happens(conversation, "participantLeft", (each) => each.identity === identity);
      await conversation.removeParticipant(which);
      await heard;
    }
    await left;
    assert.deepEqual((await conversation.getParticipants()).map((each) => each.identity), [one]);
  });

  features.add("a participant's attributes are changed", async (world) => {
    const [one, two] = [world.name("editor"), world.name("edited")];
    const { sid, conversation } = await world.seat(one, [two]);
    const other = await joined(await world.client(two), sid);
    const heard = happens(other, "participantUpdated", (each) => each.updateReasons.includes("attributes"));
    const me = await participantOf(conversation, one);
    await me.updateAttributes({ mood: "ö" });
    assert.deepEqual((await heard).participant.attributes, { mood: "ö" });
  });

  features.add("a participant leads to its user", async (world) => {
    const [one, two] = [world.name("asker"), world.name("user")];
    await world.service.users.create({ identity: two, friendlyName: "Two" });
    const { conversation } = await world.seat(one, [two]);
    const participant = await participantOf(conversation, two);
    assert.equal((await participant.getUser()).friendlyName, "Two");
  });
}

async function phone(world, prefix, type) {
  const { sid, conversation } = await world.seat(world.name("desk"));
  const [proxy, address] = [`${prefix}${world.phone()}`, `${prefix}${world.phone()}`];
  const heard = happens(conversation, "participantJoined");
  const answer = await conversation.addNonChatParticipant(proxy, address, { customer: true });
  assert.equal(answer.messaging_binding.address, address);
  assert.equal(answer.messaging_binding.proxy_address, proxy);
  const participant = await heard;
  assert.equal(participant.type, type);
  assert.equal(participant.identity, null);
  assert.deepEqual(participant.attributes, { customer: true });
  const stored = await world.service.conversations(sid).participants(answer.sid).fetch();
  assert.equal(stored.messagingBinding.type, type);
  assert.equal(stored.messagingBinding.address, address);
}
