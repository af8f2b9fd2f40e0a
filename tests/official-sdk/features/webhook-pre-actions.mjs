// Pre-action webhooks: the change waits for the answer.

import assert from "node:assert/strict";

import { PATIENCE_MS, refused } from "../lib/features.mjs";
import { hooked } from "./webhook-events.mjs";

const ENABLED = { xTwilioWebhookEnabled: "true" };
const pre = (filters) => (receiver) => ({ preWebhookUrl: `${receiver.url}/pre`, filters });

export function webhookPreActions(features) {
  features.add("a pre-event's answer changes a message", async (world) => {
    const { api, receiver } = await hooked(world, pre(["onMessageAdd"]));
    const changes = { body: "changed", author: "somebody", attributes: '{"c":1}' };
    receiver.answer = () => ({ status: 200, body: JSON.stringify(changes) });
    const { sid } = await api.conversations.create();
    const made = await api.conversations(sid).messages.create({ body: "original", ...ENABLED });
    const [asked] = receiver.events("onMessageAdd");
    assert.equal(asked.valid, true);
    assert.equal(asked.fields.Body, "original");
    assert.equal(asked.fields.MessageSid, undefined, "there is no message yet");
    assert.equal(made.body, "changed");
    assert.equal(made.author, "somebody");
    assert.equal(made.attributes, '{"c":1}');
    receiver.close();
  });

  features.add("an empty answer leaves the change as it is", async (world) => {
    const { api, receiver } = await hooked(world, pre(["onMessageAdd"]));
    const { sid } = await api.conversations.create();
    for (const body of ["", "{}"]) {
      receiver.answer = () => ({ status: 200, body });
      assert.equal((await api.conversations(sid).messages.create({ body: "kept", ...ENABLED })).body, "kept");
    }
    assert.equal(receiver.received.length, 2);
    receiver.close();
  });

  features.add("an answer of 4xx or 5xx refuses the change", async (world) => {
    const { api, receiver } = await hooked(world, pre(["onMessageAdd", "onConversationAdd"]));
    const { sid } = await api.conversations.create();
    for (const status of [403, 500]) {
      receiver.answer = () => ({ status });
      await assert.rejects(api.conversations(sid).messages.create({ body: "no", ...ENABLED }));
      await assert.rejects(api.conversations.create(ENABLED));
    }
    assert.deepEqual(await api.conversations(sid).messages.list(), []);
    assert.equal((await api.conversations.list()).length, 1);
    receiver.close();
  });

  features.add("a refusal is 403 with code 50056", async (world) => {
    const { api, receiver } = await hooked(world, pre(["onMessageAdd"]));
    const { sid } = await api.conversations.create();
    receiver.answer = () => ({ status: 403 });
    await refused(api.conversations(sid).messages.create({ body: "no", ...ENABLED }), 403, 50056);
    receiver.close();
  });

  features.add("without an answer in five seconds the change goes through", async (world) => {
    const { api, receiver } = await hooked(world, pre(["onMessageAdd"]));
    const { sid } = await api.conversations.create();
    // Whoever waited for this answer would refuse the change, and never within the time of a feature.
    receiver.answer = () => ({ status: 403, afterMs: 10 * PATIENCE_MS });
    const started = Date.now();
    const made = await api.conversations(sid).messages.create({ body: "late", ...ENABLED });
    const took = Date.now() - started;
    assert.equal(made.body, "late");
    assert.ok(took > 4_500, `took ${took} ms`);
    receiver.close();
  });

  features.add("a refused conversation drops the phone's message", async (world) => {
    const { sid, receiver } = await hooked(world, pre(["onConversationAdd"]));
    receiver.answer = () => ({ status: 403 });
    const [from, to] = [world.phone(), world.phone()];
    await world.account.addressConfigurations.create({
      type: "sms",
      address: to,
      "autoCreation.enabled": true,
      "autoCreation.type": "default",
      "autoCreation.conversationServiceSid": sid,
    });
    await world.emulator.sms(from, to, "unwanted").catch(() => {});
    await receiver.first("the question", (each) => each.fields.EventType === "onConversationAdd");
    assert.deepEqual(await world.account.services(sid).conversations.list(), []);
    receiver.close();
  });
}
