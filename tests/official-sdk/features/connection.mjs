// Tokens and the connection: renewing, running out, breaking, coming back.

import assert from "node:assert/strict";

import { pause, until } from "../lib/features.mjs";
import { collected, happens, joined, lost } from "../lib/world.mjs";

export function connection(features) {
  tokens(features);
  breaks(features);
}

function tokens(features) {
  features.add("a new token is taken on the open connection", async (world) => {
    const identity = world.name("renewer");
    const { client, conversation } = await world.seat(identity);
    const states = collected(client, "connectionStateChanged");
    await client.updateToken(world.token(identity, { ttl: 7200 }));
    await conversation.sendMessage("still here");
    assert.ok(!states.includes("connecting"), `states ${states}`);
  });

  features.add("a token of somebody else is refused", async (world) => {
    const client = await world.client(world.name("victim"));
    const error = happens(client, "connectionError", (each) => each.terminal);
    client.updateToken(world.token(world.name("thief"))).catch(() => {});
    await error;
    await until("denied", () => client.connectionState === "denied");
  });

  features.add("a token about to run out is told", async (world) => {
    const client = world.raw(world.token(world.name("warned"), { ttl: 60 }));
    await happens(client, "tokenAboutToExpire");
  });

  features.add("a token runs out and a new one brings the client back", async (world) => {
    const identity = world.name("sleeper");
    const sid = await world.conversation([identity]);
    // Long enough to come in on a slow machine.
    const client = world.raw(world.token(identity, { ttl: 10 }));
    const expired = happens(client, "tokenExpired");
    await happens(client, "initialized");
    await joined(client, sid);
    const heard = collected(client, "messageAdded");
    await expired;
    await until("disconnected", () => client.connectionState === "disconnected");
    await world.say(sid, "system", "while away");
    await client.updateToken(world.token(identity));
    await until("connected", () => client.connectionState === "connected");
    await until("what was missed", () => heard.length === 1);
    assert.equal(heard[0].body, "while away");
  });
}

function breaks(features) {
  features.add("after a lost socket everything missed arrives once and in order", async (world) => {
    const identity = world.name("phoenix");
    const { sid, client } = await world.seat(identity);
    const heard = collected(client, "messageAdded");
    const entered = collected(client, "conversationJoined");
    await world.say(sid, "system", "before");
    await until("the message before", () => heard.length === 1);
    await lost(client, () => world.emulator.cut(identity));
    for (const body of ["one", "two", "three"]) await world.say(sid, "system", body);
    const elsewhere = await world.conversation([identity]);
    await until("connected", () => client.connectionState === "connected");
    await until("three more", () => heard.length >= 4);
    await until("the new conversation", () => entered.some((each) => each.sid === elsewhere));
    await world.say(sid, "system", "after");
    await until("the message after", () => heard.length >= 5);
    await pause(200);
    assert.deepEqual(heard.map((message) => message.body), ["before", "one", "two", "three", "after"]);
  });

  features.add("after a lost socket edits, removals and leavings are caught up", async (world) => {
    const [identity, other] = [world.name("revenant"), world.name("gone")];
    const { sid, client, conversation } = await world.seat(identity, [other]);
    const heard = collected(client, "messageAdded");
    const [edited, removed] = [await world.say(sid, "system", "draft"), await world.say(sid, "system", "noise")];
    await until("both", () => heard.length === 2);
    await lost(client, () => world.emulator.cut(identity));
    const change = happens(client, "messageUpdated");
    const removal = happens(client, "messageRemoved");
    const leaving = happens(client, "participantLeft");
    await world.service.conversations(sid).messages(edited.sid).update({ body: "final" });
    await world.service.conversations(sid).messages(removed.sid).remove();
    await world.service.conversations(sid).participants(other).fetch().then((each) => each.remove());
    await world.service.conversations(sid).update({ friendlyName: "renamed" });
    assert.equal((await change).message.body, "final");
    assert.equal((await removal).sid, removed.sid);
    assert.equal((await leaving).identity, other);
    await until("the new name", () => conversation.friendlyName === "renamed");
  });

  features.add("being removed while away is caught up", async (world) => {
    const identity = world.name("ousted");
    const { sid, client } = await world.seat(identity);
    await lost(client, () => world.emulator.cut(identity));
    const left = happens(client, "conversationLeft", (each) => each.sid === sid);
    const me = await world.service.conversations(sid).participants(identity).fetch();
    await me.remove();
    await left;
  });

  features.add("a server that closes with 308 is found again", async (world) => {
    const identity = world.name("offloaded");
    const { sid, client } = await world.seat(identity);
    const heard = collected(client, "messageAdded");
    await lost(client, () => world.emulator.closeSocket(identity, { code: 308, status: "OFFLOAD" }));
    await world.say(sid, "system", "meanwhile");
    await until("connected", () => client.connectionState === "connected");
    await until("what was missed", () => heard.length === 1);
  });

  features.add("a message sent while away is not lost in silence", async (world) => {
    const identity = world.name("queuer");
    const { sid, client, conversation } = await world.seat(identity);
    await lost(client, () => world.emulator.cut(identity));
    await conversation.sendMessage("waited for the connection");
    const stored = await world.service.conversations(sid).messages.list();
    assert.deepEqual(stored.map((message) => message.body), ["waited for the connection"]);
  });
}
