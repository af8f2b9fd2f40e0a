// Tokens and the connection: renewing, running out, breaking, coming back.

import assert from "node:assert/strict";

import { pause, until } from "../lib/features.mjs";
import { collected, happens, joined } from "../lib/world.mjs";

const RECONNECT_MS_MAX = 20_000;

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
    const client = await world.client(identity, { ttl: 4 });
    await joined(client, sid);
    const heard = collected(client, "messageAdded");
    await happens(client, "tokenExpired");
    await until("disconnected", () => client.connectionState === "disconnected");
    await world.say(sid, "system", "while away");
    await client.updateToken(world.token(identity));
    await until("connected", () => client.connectionState === "connected", RECONNECT_MS_MAX);
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
    await world.emulator.cut(identity);
    await until("the loss noticed", () => client.connectionState !== "connected");
    for (const body of ["one", "two", "three"]) await world.say(sid, "system", body);
    const elsewhere = await world.conversation([identity]);
    await until("connected", () => client.connectionState === "connected", RECONNECT_MS_MAX);
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
    await world.emulator.cut(identity);
    await until("the loss noticed", () => client.connectionState !== "connected");
    const change = happens(client, "messageUpdated", undefined, RECONNECT_MS_MAX);
    const removal = happens(client, "messageRemoved", undefined, RECONNECT_MS_MAX);
    const leaving = happens(client, "participantLeft", undefined, RECONNECT_MS_MAX);
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
    await world.emulator.cut(identity);
    await until("the loss noticed", () => client.connectionState !== "connected");
    const left = happens(client, "conversationLeft", (each) => each.sid === sid, RECONNECT_MS_MAX);
    const me = await world.service.conversations(sid).participants(identity).fetch();
    await me.remove();
    await left;
  });

  features.add("a server that closes with 308 is found again", async (world) => {
    const identity = world.name("offloaded");
    const { sid, client } = await world.seat(identity);
    const heard = collected(client, "messageAdded");
    await world.emulator.closeSocket(identity, { code: 308, status: "OFFLOAD" });
    await until("disconnecting", () => client.connectionState !== "connected");
    await world.say(sid, "system", "meanwhile");
    await until("connected", () => client.connectionState === "connected", RECONNECT_MS_MAX);
    await until("what was missed", () => heard.length === 1);
  });

  features.add("a message sent while away is not lost in silence", async (world) => {
    const identity = world.name("queuer");
    const { sid, client, conversation } = await world.seat(identity);
    await world.emulator.cut(identity);
    await until("the loss noticed", () => client.connectionState !== "connected");
    await conversation.sendMessage("waited for the connection");
    const stored = await world.service.conversations(sid).messages.list();
    assert.deepEqual(stored.map((message) => message.body), ["waited for the connection"]);
  });
}
