// REST: services, configuration, webhooks at the three scopes, addresses and roles.

import assert from "node:assert/strict";

import { refused } from "../lib/features.mjs";

export function restSettings(features) {
  features.add("the services are listed, fetched and made", async (world) => {
    const listed = await world.account.services.list();
    assert.ok(listed.some((each) => each.sid === world.serviceSid));
    const made = await world.account.services.create({ friendlyName: "Second service" });
    assert.match(made.sid, /^IS[0-9a-f]{32}$/);
    assert.equal((await world.account.services(made.sid).fetch()).friendlyName, "Second service");
  });

  features.add("a conversation of another service is not found by the account's path", async (world) => {
    const other = await world.account.services.create({ friendlyName: "Elsewhere" });
    const made = await world.account.services(other.sid).conversations.create();
    assert.equal(made.chatServiceSid, other.sid);
    await refused(world.account.conversations(made.sid).fetch(), 404);
    await refused(world.service.conversations(made.sid).fetch(), 404);
  });

  features.add("the account's configuration names the default service", async (world) => {
    const configuration = await world.account.configuration().fetch();
    assert.equal(configuration.defaultChatServiceSid, world.serviceSid);
    assert.match(configuration.defaultMessagingServiceSid, /^MG[0-9a-f]{32}$/);
  });

  features.add("a service's configuration names its roles", async (world) => {
    const configuration = await world.service.configuration().fetch();
    assert.match(configuration.defaultConversationRoleSid, /^RL[0-9a-f]{32}$/);
    assert.match(configuration.defaultChatServiceRoleSid, /^RL[0-9a-f]{32}$/);
    assert.equal(configuration.reachabilityEnabled, true);
  });

  features.add("the account's webhooks are set and read", async (world) => {
    const webhooks = world.account.configuration.webhooks();
    const set = await webhooks.update({
      method: "POST",
      filters: ["onMessageAdded", "onConversationAdded"],
      postWebhookUrl: "https://example.com/post",
      preWebhookUrl: "https://example.com/pre",
    });
    const read = await webhooks.fetch();
    for (const each of [set, read]) {
      assert.equal(each.postWebhookUrl, "https://example.com/post");
      assert.equal(each.preWebhookUrl, "https://example.com/pre");
      assert.deepEqual([...each.filters].sort(), ["onConversationAdded", "onMessageAdded"]);
      assert.equal(each.method.toUpperCase(), "POST");
      assert.equal(each.target, "webhook");
    }
    await webhooks.update({ filters: [], postWebhookUrl: "", preWebhookUrl: "" });
  }, { alone: true });

  features.add("a service's webhooks are set and read", async (world) => {
    const made = await world.account.services.create({ friendlyName: "Hooked" });
    const webhooks = world.account.services(made.sid).configuration.webhooks();
    await webhooks.update({ method: "GET", filters: ["onMessageAdded"], postWebhookUrl: "https://example.com/service" });
    const read = await webhooks.fetch();
    assert.equal(read.postWebhookUrl, "https://example.com/service");
    assert.equal(read.method.toUpperCase(), "GET");
    assert.deepEqual(read.filters, ["onMessageAdded"]);
    assert.equal(read.chatServiceSid, made.sid);
  });

  for (const scope of ["account", "service"]) {
    features.add(`a conversation's webhooks by the ${scope}'s path, five at most`, async (world) => {
      const { webhooks } = world[scope].conversations(await world.conversation());
      const settings = { target: "webhook", "configuration.url": "https://example.com/c", "configuration.method": "POST", "configuration.filters": ["onMessageAdded"] };
      const made = await webhooks.create(settings);
      assert.match(made.sid, /^WH[0-9a-f]{32}$/);
      assert.equal(made.target, "webhook");
      assert.equal(made.configuration.url, "https://example.com/c");
      assert.deepEqual(made.configuration.filters, ["onMessageAdded"]);
      for (let n = 1; n < 5; n += 1) await webhooks.create(settings);
      await refused(webhooks.create(settings), 400, 50361);
      assert.equal((await webhooks.list()).length, 5);
      const webhook = world[scope].conversations(made.conversationSid).webhooks(made.sid);
      const changed = await webhook.update({ "configuration.url": "https://example.com/d" });
      assert.equal(changed.configuration.url, "https://example.com/d");
      assert.equal(await webhook.remove(), true);
      assert.equal((await webhooks.list()).length, 4);
    });
  }

  features.add("a conversation's webhook needs a known filter and a URL", async (world) => {
    const { webhooks } = world.service.conversations(await world.conversation());
    await refused(webhooks.create({ target: "webhook", "configuration.filters": ["onMessageAdded"] }), 400, 50369);
    await refused(webhooks.create({ target: "webhook", "configuration.url": "https://example.com", "configuration.filters": ["onNothing"] }), 400, 50365);
  });

  features.add("addresses are configured for autocreation", async (world) => {
    const address = world.phone();
    const made = await world.account.addressConfigurations.create({
      type: "sms",
      address,
      friendlyName: "Line",
      "autoCreation.enabled": true,
      "autoCreation.type": "webhook",
      "autoCreation.webhookUrl": "https://example.com/auto",
      "autoCreation.webhookMethod": "POST",
      "autoCreation.webhookFilters": ["onMessageAdded"],
      "autoCreation.conversationServiceSid": world.serviceSid,
    });
    assert.match(made.sid, /^IG[0-9a-f]{32}$/);
    assert.equal(made.autoCreation.enabled, true);
    assert.equal((await world.account.addressConfigurations(made.sid).fetch()).address, address);
    assert.equal((await world.account.addressConfigurations(encodeURIComponent(address)).fetch()).sid, made.sid);
    const listed = await world.account.addressConfigurations.list({ type: "sms" });
    assert.ok(listed.some((each) => each.sid === made.sid));
    const configuration = world.account.addressConfigurations(made.sid);
    const changed = await configuration.update({ friendlyName: "Other line", "autoCreation.enabled": false });
    assert.equal(changed.friendlyName, "Other line");
    assert.equal(changed.autoCreation.enabled, false);
    assert.equal(await configuration.remove(), true);
    await refused(configuration.fetch(), 404);
  });
}
