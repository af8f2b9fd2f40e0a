// REST: the limits as Twilio has them, and that they can be moved.

import assert from "node:assert/strict";

import { refused, until } from "../lib/features.mjs";

export function restLimits(features) {
  features.add("more than 30 writes a second on a conversation are 429", async (world) => {
    const { account_sid, auth_token } = world.emulator.credentials;
    const hasty = world.restAs(account_sid, auth_token, { autoRetry: false });
    const sid = await world.conversation();
    const { messages } = hasty.conversations.v1.conversations(sid);
    const writes = await untilRefused((n) => messages.create({ body: `${n}` }));
    const taken = writes.filter((write) => write.status === "fulfilled").length;
    const tooMany = writes.filter((write) => write.reason?.status === 429);
    assert.ok(taken >= 30, `${taken} taken, ${tooMany.length} refused`);
    assert.ok(tooMany.every((write) => [50063, 50074, 20429].includes(write.reason.code)));
    const stored = await world.service.conversations(sid).messages.list();
    assert.equal(stored.length, taken, "what was refused was never done");
  });

  features.add("an identity is in as many conversations as the limit says", async (world) => {
    await world.emulator.limits({ conversations_per_identity: 3 });
    const identity = world.name("popular");
    const sids = [];
    for (let n = 0; n < 4; n += 1) sids.push(await world.conversation());
    for (const sid of sids.slice(0, 3)) await world.join(sid, identity);
    await refused(world.join(sids[3], identity), 403, 50214);
    await world.service.conversations(sids[0]).update({ state: "closed" });
    await world.join(sids[3], identity);
    await world.emulator.limits({});
  }, { alone: true });

  features.add("a conversation has as many participants as the limit says", async (world) => {
    await world.emulator.limits({ participants: 2 });
    const sid = await world.conversation([world.name("one"), world.name("two")]);
    await refused(world.join(sid, world.name("three")), 403, 50417);
    await world.emulator.limits({});
  }, { alone: true });

  features.add("more than 30 conversations a second in a service are 429", async (world) => {
    await world.emulator.limits({ service_writes: 30 });
    const { account_sid, auth_token } = world.emulator.credentials;
    const hasty = world.restAs(account_sid, auth_token, { autoRetry: false });
    await untilRefused(() => hasty.conversations.v1.conversations.create());
    await world.emulator.limits({});
  }, { alone: true });
}

/** Writes sixty at once, again and again until one is refused for haste: a busy machine may take its time. */
async function untilRefused(write) {
  const writes = [];
  await until("429", async () => {
    writes.push(...(await Promise.allSettled(Array.from({ length: 60 }, (_, n) => write(n)))));
    return writes.some((each) => each.reason?.status === 429);
  });
  return writes;
}
