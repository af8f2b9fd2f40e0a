// Post-action webhooks: what is sent when, where, how, and with which signature.

import assert from "node:assert/strict";

import { pause, until } from "../lib/features.mjs";
import { joined } from "../lib/world.mjs";
import { Receiver } from "../lib/receiver.mjs";

const ALL = [
  "onConversationAdded", "onConversationRemoved", "onConversationUpdated", "onConversationStateUpdated",
  "onMessageAdded", "onMessageUpdated", "onMessageRemoved",
  "onParticipantAdded", "onParticipantRemoved", "onParticipantUpdated", "onDeliveryUpdated",
];
const ENABLED = { xTwilioWebhookEnabled: "true" };

/** A service of its own with these webhook settings, so that features do not hear each other. */
export async function hooked(world, settings) {
  const receiver = await Receiver.open(world.emulator.credentials.auth_token);
  const { sid } = await world.account.services.create({ friendlyName: world.name("hooked") });
  const api = world.account.services(sid);
  await api.configuration.webhooks().update({ method: "POST", filters: ALL, ...settings(receiver) });
  return { api, sid, receiver };
}

const post = (receiver) => ({ postWebhookUrl: `${receiver.url}/post` });

export function webhookEvents(features) {
  requests(features);
  scopes(features);
  autocreation(features);
  faults(features);
  texts(features);
}

function texts(features) {
  features.add("a text's webhook and its status callbacks are signed", async (world) => {
    const receiver = await Receiver.open(world.emulator.credentials.auth_token);
    const [phone, number] = [world.phone(), world.phone()];
    await world.emulator.order("POST", "messaging-webhook", { url: `${receiver.url}/sms?tenant=a%20b#rc=3&rp=5xx` });
    try {
      const { sid } = await world.emulator.order("POST", "texts", { from: phone, to: number, body: "héllo 👋" });
      const heard = await receiver.first("the text", (each) => each.fields.MessageSid === sid);
      assert.equal(heard.valid, true, "the official validator says so");
      assert.equal(heard.headers["content-type"], "application/x-www-form-urlencoded");
      assert.equal(heard.fields.Body, "héllo 👋");
    } finally {
      await world.emulator.order("POST", "messaging-webhook", { url: null });
    }
    const statusCallback = `${receiver.url}/status?reply=r%2F1`;
    const made = await world.twilio.messages.create({ from: number, to: phone, body: "back", statusCallback });
    const isDone = (each) => each.fields.MessageSid === made.sid && each.fields.MessageStatus === "delivered";
    assert.equal((await receiver.first("delivered", isDone)).valid, true);
    assert.equal((await world.twilio.messages(made.sid).fetch()).status, "delivered");
    receiver.close();
  });
}

function requests(features) {
  features.add("a webhook is signed and has Twilio's headers", async (world) => {
    const { api, receiver } = await hooked(world, post);
    const made = await api.conversations.create({ friendlyName: "a b+c&d=ü", ...ENABLED });
    const heard = await receiver.first("onConversationAdded", (each) => each.fields.EventType === "onConversationAdded");
    assert.equal(heard.valid, true, "the official validator says so");
    assert.equal(heard.method, "POST");
    assert.equal(heard.headers["content-type"], "application/x-www-form-urlencoded; charset=utf-8");
    assert.match(heard.headers["i-twilio-idempotency-token"], /^[0-9a-f-]{36}$/);
    assert.equal(heard.headers["user-agent"], "TwilioProxy/1.1");
    assert.equal(heard.headers.accept, "*/*");
    assert.equal(heard.fields.AccountSid, world.emulator.credentials.account_sid);
    assert.equal(heard.fields.ConversationSid, made.sid);
    assert.equal(heard.fields.FriendlyName, "a b+c&d=ü");
    assert.equal(heard.fields.Source, "API");
    assert.equal(heard.fields.RetryCount, "0");
    receiver.close();
  });

  features.add("a webhook by GET has its fields in the signed URL", async (world) => {
    const { api, receiver } = await hooked(world, (receiver) => ({ ...post(receiver), method: "GET" }));
    await api.conversations.create({ friendlyName: "a b+c&d=ü:", ...ENABLED });
    const heard = await receiver.first("a GET", (each) => each.method === "GET");
    assert.equal(heard.valid, true);
    assert.equal(heard.fields.EventType, "onConversationAdded");
    assert.equal(heard.fields.FriendlyName, "a b+c&d=ü:");
    receiver.close();
  });

  features.add("REST writes are silent unless they ask for webhooks", async (world) => {
    const { api, receiver } = await hooked(world, post);
    const { sid } = await api.conversations.create();
    await api.conversations(sid).participants.create({ identity: world.name("silent") });
    await api.conversations(sid).messages.create({ body: "silent" });
    await api.conversations(sid).messages.create({ body: "loud", ...ENABLED });
    const heard = await receiver.first("the loud one", (each) => each.fields.Body === "loud");
    assert.equal(heard.fields.EventType, "onMessageAdded");
    assert.equal(heard.fields.Index, "1");
    await pause(200);
    assert.equal(receiver.received.length, 1);
    receiver.close();
  });

  features.add("every change by REST has its event", async (world) => {
    const { api, receiver } = await hooked(world, post);
    const { sid } = await api.conversations.create(ENABLED);
    const conversation = api.conversations(sid);
    const participant = await conversation.participants.create({ identity: world.name("moved"), ...ENABLED });
    await conversation.participants(participant.sid).update({ attributes: "{}", ...ENABLED });
    const message = await conversation.messages.create({ author: "system", body: "x", ...ENABLED });
    await conversation.messages(message.sid).update({ body: "y", ...ENABLED });
    await conversation.messages(message.sid).remove(ENABLED);
    await conversation.participants(participant.sid).remove(ENABLED);
    await conversation.update({ friendlyName: "n", ...ENABLED });
    await conversation.update({ state: "inactive", ...ENABLED });
    await conversation.remove(ENABLED);
    const wanted = ALL.filter((type) => type !== "onDeliveryUpdated");
    for (const type of wanted) await until(type, () => receiver.events(type).length > 0);
    assert.ok(receiver.received.every((each) => each.valid));
    const [state] = receiver.events("onConversationStateUpdated");
    assert.deepEqual([state.fields.StateFrom, state.fields.StateTo, state.fields.Reason], ["active", "inactive", "API"]);
    const [added] = receiver.events("onMessageAdded");
    assert.equal(added.fields.MessageSid, message.sid);
    assert.match(added.fields.DateCreated, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const [removed] = receiver.events("onMessageRemoved");
    assert.ok(removed.fields.DateRemoved);
    receiver.close();
  });

  features.add("what a client of the SDK does is told with its identity", async (world) => {
    const receiver = await Receiver.open(world.emulator.credentials.auth_token);
    const identity = world.name("clicker");
    const { sid, conversation } = await world.seat(identity);
    await world.service.conversations(sid).webhooks.create({
      target: "webhook",
      "configuration.url": `${receiver.url}/conversation`,
      "configuration.method": "POST",
      "configuration.filters": ["onMessageAdded"],
    });
    await conversation.sendMessage("by SDK");
    const heard = await receiver.first("the message", (each) => each.fields.Body === "by SDK");
    assert.equal(heard.valid, true);
    assert.equal(heard.fields.Source, "SDK");
    assert.equal(heard.fields.ClientIdentity, identity);
    assert.equal(heard.fields.Author, identity);
    receiver.close();
  });

  features.add("deliveries to a phone are told also for REST writes", async (world) => {
    const { api, receiver } = await hooked(world, post);
    const { sid } = await api.conversations.create();
    await api.conversations(sid).participants.create({
      "messagingBinding.address": world.phone(),
      "messagingBinding.proxyAddress": world.phone(),
    });
    const message = await api.conversations(sid).messages.create({ body: "x" });
    const status = (wanted) => (each) => each.fields.EventType === "onDeliveryUpdated" && each.fields.Status === wanted;
    await receiver.first("sent", status("sent"));
    const delivered = await receiver.first("delivered", status("delivered"));
    assert.equal(delivered.fields.MessageSid, message.sid);
    assert.match(delivered.fields.DeliveryReceiptSid, /^DY/);
    assert.ok(receiver.received.every((each) => each.valid && each.fields.EventType === "onDeliveryUpdated"));
    receiver.close();
  });
}

function scopes(features) {
  features.add("filters choose the events", async (world) => {
    const { api, receiver } = await hooked(world, (each) => ({ ...post(each), filters: ["onMessageAdded"] }));
    const { sid } = await api.conversations.create(ENABLED);
    await api.conversations(sid).messages.create({ body: "x", ...ENABLED });
    await receiver.first("the message", (each) => each.fields.EventType === "onMessageAdded");
    await pause(200);
    assert.equal(receiver.received.length, 1);
    receiver.close();
  });

  features.add("a conversation's webhook hears only its conversation", async (world) => {
    const { api, receiver } = await hooked(world, () => ({}));
    const [one, two] = [await api.conversations.create(), await api.conversations.create()];
    await api.conversations(one.sid).webhooks.create({
      target: "webhook",
      "configuration.url": `${receiver.url}/one`,
      "configuration.method": "GET",
      "configuration.filters": ["onMessageAdded"],
    });
    await api.conversations(two.sid).messages.create({ body: "two", ...ENABLED });
    await api.conversations(one.sid).messages.create({ body: "one", ...ENABLED });
    const heard = await receiver.first("one", (each) => each.fields.Body === "one");
    assert.equal(heard.path, "/one");
    assert.equal(heard.valid, true);
    await pause(200);
    assert.equal(receiver.received.length, 1);
    receiver.close();
  });

  features.add("a webhook set with ReplayAfter hears what was there before", async (world) => {
    const { api, receiver } = await hooked(world, () => ({}));
    const { sid } = await api.conversations.create();
    for (const body of ["zero", "one", "two"]) await api.conversations(sid).messages.create({ body });
    await api.conversations(sid).webhooks.create({
      target: "webhook",
      "configuration.url": `${receiver.url}/replay`,
      "configuration.method": "POST",
      "configuration.filters": ["onMessageAdded"],
      "configuration.replayAfter": 0,
    });
    await receiver.first("the newest one", (each) => each.fields.Body === "two");
    const bodies = receiver.events("onMessageAdded").map((each) => each.fields.Body);
    assert.deepEqual(bodies.slice(-2), ["one", "two"], "whether the one named comes too is not asked");
    receiver.close();
  });

  features.add("the account's webhooks fire where the service has none", async (world) => {
    const receiver = await Receiver.open(world.emulator.credentials.auth_token);
    const webhooks = world.account.configuration.webhooks();
    await webhooks.update({ method: "POST", filters: ["onMessageAdded"], postWebhookUrl: `${receiver.url}/account` });
    const { sid } = await world.account.services.create({ friendlyName: "bare" });
    const api = world.account.services(sid);
    const conversation = await api.conversations.create();
    await api.conversations(conversation.sid).messages.create({ body: "x", ...ENABLED });
    await receiver.first("the message", (each) => each.path === "/account" && each.valid);
    await webhooks.update({ filters: [], postWebhookUrl: "" });
    receiver.close();
  }, { alone: true });
}

function autocreation(features) {
  features.add("an SMS makes a conversation and its events come in order", async (world) => {
    const { receiver, sid } = await hooked(world, (each) => ({
      ...post(each),
      preWebhookUrl: `${each.url}/pre`,
      filters: [...ALL, "onConversationAdd", "onParticipantAdd", "onMessageAdd"],
    }));
    const [from, to] = [world.phone(), world.phone()];
    await world.account.addressConfigurations.create({
      type: "sms",
      address: to,
      "autoCreation.enabled": true,
      "autoCreation.type": "default",
      "autoCreation.conversationServiceSid": sid,
    });
    await world.emulator.sms(from, to, "hello there");
    await until("the message", () => receiver.events("onMessageAdded").length === 1);
    await until("all four", () => receiver.received.length >= 4);
    const types = receiver.received.map((each) => each.fields.EventType);
    assert.equal(types[0], "onConversationAdd", "the question comes first");
    assert.deepEqual([...types].sort(), ["onConversationAdd", "onConversationAdded", "onMessageAdded", "onParticipantAdded"]);
    const [asked] = receiver.events("onConversationAdd");
    assert.equal(asked.path, "/pre");
    assert.equal(asked.fields.MessageBody, "hello there");
    assert.equal(asked.fields["MessagingBinding.Address"], from);
    assert.equal(asked.fields["MessagingBinding.ProxyAddress"], to);
    const [message] = receiver.events("onMessageAdded");
    assert.equal(message.fields.Source, "SMS");
    assert.equal(message.fields.Author, from);
    assert.equal(message.fields.Index, "0");
    assert.ok(receiver.received.every((each) => each.valid));
    await world.emulator.sms(from, to, "once more");
    await until("the second", () => receiver.events("onMessageAdded").length === 2);
    assert.equal(receiver.events("onConversationAdded").length, 1, "the open conversation takes it");
    receiver.close();
  });

  features.add("an address's own webhook hears of its conversations", async (world) => {
    const receiver = await Receiver.open(world.emulator.credentials.auth_token);
    const [from, to] = [world.phone(), world.phone()];
    await world.account.addressConfigurations.create({
      type: "sms",
      address: to,
      "autoCreation.enabled": true,
      "autoCreation.type": "webhook",
      "autoCreation.webhookUrl": `${receiver.url}/address`,
      "autoCreation.webhookMethod": "POST",
      "autoCreation.webhookFilters": ["onMessageAdded", "onParticipantAdded"],
    });
    await world.emulator.sms(from, to, "to the address");
    const heard = await receiver.first("the message", (each) => each.fields.EventType === "onMessageAdded");
    assert.equal(heard.path, "/address");
    assert.equal(heard.valid, true);
    assert.equal(heard.fields.Body, "to the address");
    receiver.close();
  });
}

function faults(features) {
  const message = { place: "webhook", event_type: "onMessageAdded" };

  features.add("a fault duplicates, mis-signs and loses webhooks", async (world) => {
    const { api, receiver } = await hooked(world, post);
    const { sid } = await api.conversations.create();
    const say = (body) => api.conversations(sid).messages.create({ body, ...ENABLED });
    await world.emulator.fault(message, { action: "duplicate" });
    await say("twice");
    await until("twice", () => receiver.received.length === 2);
    const [one, two] = receiver.received.map((each) => each.headers["i-twilio-idempotency-token"]);
    assert.equal(one, two, "a duplicate keeps its token");
    await world.emulator.fault(message, { action: "mis_sign" });
    await say("forged");
    assert.equal((await receiver.first("forged", (each) => each.fields.Body === "forged")).valid, false);
    await world.emulator.fault(message, { action: "lose" });
    await say("lost");
    await say("kept");
    await receiver.first("kept", (each) => each.fields.Body === "kept");
    assert.equal(receiver.received.some((each) => each.fields.Body === "lost"), false);
    receiver.close();
  }, { alone: true });
}
