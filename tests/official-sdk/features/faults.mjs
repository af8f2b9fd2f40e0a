// What the SDK makes of the emulator's faults. Those that cannot be aimed at one conversation run alone.

import assert from "node:assert/strict";

import { pause, refused, until } from "../lib/features.mjs";
import { collected, happens, lost } from "../lib/world.mjs";

export function faults(features) {
  requests(features);
  events(features);
}

function requests(features) {
  features.add("a send refused with 429 is an error and stores nothing", async (world) => {
    const { sid, conversation } = await world.seat(world.name("throttled"));
    await world.emulator.fault(post(sid), { action: "answer", status: 429, code: 20429 });
    await refused(conversation.sendMessage("too much"), 429);
    assert.deepEqual(await world.service.conversations(sid).messages.list(), []);
    await conversation.sendMessage("better");
  });

  features.add("a send whose answer is broken is stored once", async (world) => {
    const { sid, client, conversation } = await world.seat(world.name("unknowing"));
    const heard = collected(client, "messageAdded");
    await world.emulator.fault(post(sid), { action: "break_after" });
    await assert.rejects(conversation.sendMessage("did it arrive?"));
    await until("connected", () => client.connectionState === "connected");
    await until("it did", () => heard.length === 1);
    await pause(200);
    assert.equal(heard.length, 1);
    assert.equal((await world.service.conversations(sid).messages.list()).length, 1);
  });

  features.add("a server that refuses sockets is tried again", async (world) => {
    const identity = world.name("patient");
    await world.emulator.fault({ place: "socket_open" }, { action: "answer", status: 503 }, 2);
    const client = world.raw(world.token(identity));
    await happens(client, "initialized");
    assert.equal(client.connectionState, "connected");
  }, { alone: true });

  features.add("a client told to wait at the start waits and comes in", async (world) => {
    await world.emulator.fault({ place: "socket_init" }, { action: "answer", status: 429, code: 51202 });
    const client = world.raw(world.token(world.name("courteous")));
    await happens(client, "initialized");
  }, { alone: true });
}

function events(features) {
  const kinds = ["duplicate", "swap"];
  for (const action of kinds) {
    features.add(`messages arrive once each through a fault that does ${action}`, async (world) => {
      const { sid, client } = await world.seat(world.name(action));
      const heard = collected(client, "messageAdded");
      await world.emulator.fault({ place: "socket_event", event_type: "list_item_added" }, { action });
      for (const body of ["one", "two", "three"]) await world.say(sid, "system", body);
      await until("three", () => heard.length >= 3);
      await pause(200);
      assert.deepEqual(heard.map((message) => message.body).sort(), ["one", "three", "two"]);
    }, { alone: true });
  }

  features.add("what a frozen connection held back comes when it thaws", async (world) => {
    const identity = world.name("frozen");
    const { sid, client } = await world.seat(identity);
    const heard = collected(client, "messageAdded");
    await world.emulator.order("POST", "sockets", { do: "freeze", identity });
    for (const body of ["one", "two"]) await world.say(sid, "system", body);
    await pause(300);
    assert.equal(heard.length, 0, "nothing comes through a frozen connection");
    await world.emulator.order("POST", "sockets", { do: "thaw", identity });
    await until("both", () => heard.length === 2);
    assert.equal(client.connectionState, "connected");
  });

  features.add("frames are read with and without a line end behind them", async (world) => {
    const { sid, client } = await world.seat(world.name("reader"));
    const heard = collected(client, "messageAdded");
    for (const on of [false, true]) {
      await world.emulator.order("POST", "trailing-crlf", { on });
      await world.say(sid, "system", `${on}`);
      await until(`with ${on}`, () => heard.some((message) => message.body === `${on}`));
    }
  }, { alone: true });

  for (const action of ["interrupt", "overtake"]) {
    features.add(`the replay brings everything through a fault that does ${action}`, async (world) => {
      const identity = world.name(action);
      const { sid, client } = await world.seat(identity);
      const heard = collected(client, "messageAdded");
      await lost(client, () => world.emulator.cut(identity));
      for (const body of ["1", "2", "3", "4", "5", "6"]) await world.say(sid, "system", body);
      await world.emulator.fault({ place: "replay" }, { action }, 5);
      await until("connected", () => client.connectionState === "connected");
      await until("six", () => heard.length >= 6);
      await pause(300);
      assert.deepEqual(heard.map((message) => message.body).sort(), ["1", "2", "3", "4", "5", "6"]);
      await world.emulator.clearFaults();
    }, { alone: true });
  }
}

function post(conversation) {
  return { place: "socket_request", method: "POST", path: `${conversation}/Messages` };
}
