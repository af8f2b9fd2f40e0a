// How a client starts: token, user, subscribed conversations.

import assert from "node:assert/strict";

import { until } from "../lib/features.mjs";
import { collected, everything, happens } from "../lib/world.mjs";

export function startup(features) {
  features.add("a client initialises and is connected", async (world) => {
    const identity = world.name("starter");
    const client = world.raw(world.token(identity));
    const states = collected(client, "stateChanged");
    await happens(client, "initialized");
    assert.equal(client.connectionState, "connected");
    assert.equal(client.user.identity, identity);
    assert.equal(client.reachabilityEnabled, true);
    await until("state initialized", () => states.includes("initialized"));
    assert.deepEqual((await client.getSubscribedConversations()).items, []);
  });

  features.add("the client's own user is read at the start", async (world) => {
    const identity = world.name("myself");
    await world.service.users.create({ identity, friendlyName: "Mine", attributes: '{"a":"ü"}' });
    const { user } = await world.client(identity);
    assert.equal(user.friendlyName, "Mine");
    assert.deepEqual(user.attributes, { a: "ü" });
    await until("being seen online", () => user.isOnline === true);
  });

  features.add("a token signed with a wrong secret is refused", async (world) => {
    await refusedAtStart(world, world.token(world.name("forger"), { secret: "not the secret at all" }));
  });

  features.add("an expired token is refused as expired", async (world) => {
    const token = world.token(world.name("late"), { ttl: -10 });
    const { expired } = await refusedAtStart(world, token);
    await until("tokenExpired", () => expired.length > 0);
  });

  features.add("a token without a Conversations grant is refused", async (world) => {
    await refusedAtStart(world, world.token(world.name("nobody"), { grant: false }));
  });

  features.add("subscribed conversations come in pages beyond 100", async (world) => {
    const identity = world.name("busy");
    const wanted = 105;
    const make = async () => world.conversation([identity]);
    const sids = [];
    while (sids.length < wanted) {
      const batch = Array.from({ length: Math.min(15, wanted - sids.length) }, make);
      sids.push(...(await Promise.all(batch)));
    }
    const client = await world.client(identity);
    const first = await client.getSubscribedConversations();
    assert.equal(first.hasNextPage, true, "a first page of all");
    const seen = (await everything(first)).map((conversation) => conversation.sid);
    assert.equal(new Set(seen).size, seen.length, "a conversation twice");
    assert.deepEqual([...seen].sort(), sids.sort());
    const last = await client.getConversationBySid(sids[wanted - 1]);
    await until("the last one joined", () => last.status === "joined");
  });

  features.add("two clients of one identity see the same conversation", async (world) => {
    const identity = world.name("twice");
    const { sid, client } = await world.seat(identity);
    const other = await world.client(identity);
    await until("both", async () => (await other.getSubscribedConversations()).items.length === 1);
    const heard = [client, other].map((each) => happens(each, "messageAdded"));
    const theirs = await other.getConversationBySid(sid);
    await theirs.sendMessage("to both");
    assert.deepEqual((await Promise.all(heard)).map((message) => message.body), ["to both", "to both"]);
  });

  features.add("a client that shuts down is disconnected", async (world) => {
    const client = await world.client(world.name("leaver"));
    await client.shutdown();
    await until("disconnected", () => client.connectionState === "disconnected");
  });
}

async function refusedAtStart(world, token) {
  const client = world.raw(token);
  const expired = collected(client, "tokenExpired");
  const failed = happens(client, "initFailed");
  const error = await happens(client, "connectionError", (each) => each.terminal);
  await failed;
  assert.equal(error.terminal, true);
  await until("state denied", () => client.connectionState === "denied");
  return { client, expired };
}
