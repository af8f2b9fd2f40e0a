// REST: conversations, participants and users, by the account's and the service's paths.

import assert from "node:assert/strict";

import { refused } from "../lib/features.mjs";

export function restConversations(features) {
  access(features);
  conversations(features);
  participants(features);
  users(features);
}

function access(features) {
  features.add("wrong credentials are 401 with code 20003", async (world) => {
    const { account_sid, api_key } = world.emulator.credentials;
    for (const user of [account_sid, api_key]) {
      const stranger = world.restAs(user, "wrong");
      await refused(stranger.conversations.v1.conversations.list({ limit: 1 }), 401, 20003);
    }
  });

  features.add("an API key opens the same doors as the account", async (world) => {
    const { api_key, api_secret } = world.emulator.credentials;
    const keyed = world.restAs(api_key, api_secret);
    const made = await keyed.conversations.v1.conversations.create({ friendlyName: "keyed" });
    assert.equal((await world.account.conversations(made.sid).fetch()).friendlyName, "keyed");
  });

  features.add("an error says code, status, message and where to read on", async (world) => {
    const error = await refused(world.account.conversations(`CH${"0".repeat(32)}`).fetch(), 404, 20404);
    assert.match(error.message, /not found/);
    assert.equal(error.moreInfo, "https://www.twilio.com/docs/errors/20404");
  });
}

function conversations(features) {
  for (const scope of ["account", "service"]) {
    features.add(`a conversation's life by the ${scope}'s path`, async (world) => {
      const api = world[scope];
      const uniqueName = world.name("unique");
      const made = await api.conversations.create({ friendlyName: "Name", uniqueName, attributes: '{"a":1}' });
      assert.match(made.sid, /^CH[0-9a-f]{32}$/);
      assert.equal(made.accountSid, world.emulator.credentials.account_sid);
      assert.equal(made.chatServiceSid, world.serviceSid);
      assert.equal(made.state, "active");
      assert.equal(made.attributes, '{"a":1}');
      assert.ok(made.dateCreated instanceof Date && !Number.isNaN(made.dateCreated.getTime()));
      assert.match(made.url, new RegExp(`/Conversations/${made.sid}$`));
      assert.ok(made.links.participants.startsWith(made.url) && made.links.messages.startsWith(made.url));
      for (const key of [made.sid, uniqueName]) assert.equal((await api.conversations(key).fetch()).sid, made.sid);
      const changed = await api.conversations(made.sid).update({ friendlyName: "Other", state: "inactive" });
      assert.equal(changed.friendlyName, "Other");
      assert.equal(changed.state, "inactive");
      assert.equal(changed.uniqueName, uniqueName, "what is not named stays");
      assert.equal(await api.conversations(made.sid).remove(), true);
      await refused(api.conversations(made.sid).fetch(), 404, 20404);
    });
  }

  features.add("a conversation has defaults for all it is not told", async (world) => {
    const made = await world.account.conversations.create();
    assert.equal(made.attributes, "{}");
    assert.equal(made.uniqueName, null);
    assert.equal(made.state, "active");
    assert.match(made.messagingServiceSid, /^MG[0-9a-f]{32}$/);
    assert.deepEqual(made.timers, {});
  });

  features.add("a taken unique name is 409 with code 50353", async (world) => {
    const uniqueName = world.name("taken");
    await world.service.conversations.create({ uniqueName });
    await refused(world.service.conversations.create({ uniqueName }), 409, 50353);
  });

  features.add("a closed conversation stays closed", async (world) => {
    const made = await world.service.conversations.create();
    await world.service.conversations(made.sid).update({ state: "closed" });
    await refused(world.service.conversations(made.sid).update({ state: "active" }), 400, 50377);
    await assert.rejects(world.join(made.sid, world.name("late")));
  });

  features.add("timers are kept and too short ones refused", async (world) => {
    const made = await world.service.conversations.create({ "timers.inactive": "PT1M", "timers.closed": "PT10M" });
    assert.ok(made.timers.date_inactive && made.timers.date_closed);
    await refused(world.service.conversations.create({ "timers.inactive": "PT10S" }), 400, 50375);
    await refused(world.service.conversations.create({ "timers.closed": "PT1M" }), 400, 50376);
  });

  features.add("bad attributes are refused", async (world) => {
    await refused(world.service.conversations.create({ attributes: "not json" }), 400, 50304);
    await refused(world.service.conversations.create({ attributes: `{"a":"${"x".repeat(17_000)}"}` }), 400, 50303);
  });

  features.add("conversations are listed in pages and by state", async (world) => {
    const made = [];
    for (let n = 0; n < 7; n += 1) made.push((await world.service.conversations.create()).sid);
    await world.service.conversations(made[3]).update({ state: "closed" });
    const listed = await world.service.conversations.list({ pageSize: 3 });
    const mine = listed.filter((each) => made.includes(each.sid));
    assert.equal(mine.length, 7);
    assert.equal(new Set(listed.map((each) => each.sid)).size, listed.length, "none twice");
    const closed = await world.service.conversations.list({ state: "closed" });
    assert.deepEqual(closed.map((each) => each.sid).filter((sid) => made.includes(sid)), [made[3]]);
    const page = await world.service.conversations.page({ pageSize: 2 });
    assert.equal(page.instances.length, 2);
    assert.ok((await page.nextPage()).instances.length > 0);
  });

  features.add("a conversation is made together with its participants", async (world) => {
    const [identity, address, proxy] = [world.name("together"), world.phone(), world.phone()];
    const made = await world.service.conversationWithParticipants.create({
      friendlyName: "Together",
      participant: [
        JSON.stringify({ identity }),
        JSON.stringify({ messaging_binding: { address, proxy_address: proxy } }),
      ],
    });
    assert.equal(made.friendlyName, "Together");
    const inside = await world.service.conversations(made.sid).participants.list();
    assert.deepEqual(inside.map((each) => each.identity ?? each.messagingBinding.address).sort(), [identity, address].sort());
  });
}

function participants(features) {
  for (const scope of ["account", "service"]) {
    features.add(`a participant's life by the ${scope}'s path`, async (world) => {
      const conversation = world[scope].conversations((await world.service.conversations.create()).sid);
      const identity = `${world.name("some one")}@example.com/ü`;
      const made = await conversation.participants.create({ identity, attributes: '{"p":1}' });
      assert.match(made.sid, /^MB[0-9a-f]{32}$/);
      assert.match(made.roleSid, /^RL[0-9a-f]{32}$/);
      assert.equal(made.messagingBinding, null);
      assert.equal(made.lastReadMessageIndex, null);
      for (const key of [made.sid, encodeURIComponent(identity)]) {
        assert.equal((await conversation.participants(key).fetch()).identity, identity);
      }
      const changed = await conversation.participants(made.sid).update({ attributes: '{"p":2}', lastReadMessageIndex: 0 });
      assert.equal(changed.attributes, '{"p":2}');
      assert.equal((await conversation.participants.list()).length, 1);
      assert.equal(await conversation.participants(made.sid).remove(), true);
      await refused(conversation.participants(made.sid).fetch(), 404);
    });
  }

  features.add("adding an identity twice is 409 with code 50433", async (world) => {
    const sid = await world.conversation([]);
    const identity = world.name("again");
    await world.join(sid, identity);
    await refused(world.join(sid, identity), 409, 50433);
  });

  features.add("a taken pair of addresses is 409 with code 50416 and names the conversation", async (world) => {
    const binding = { "messagingBinding.address": world.phone(), "messagingBinding.proxyAddress": world.phone() };
    const [one, two] = [await world.conversation(), await world.conversation()];
    const made = await world.service.conversations(one).participants.create(binding);
    assert.equal(made.messagingBinding.type, "sms");
    const error = await refused(world.service.conversations(two).participants.create(binding), 409, 50416);
    assert.ok(error.message.includes(one), error.message);
  });

  features.add("a participant without identity and address is refused", async (world) => {
    const sid = await world.conversation();
    await refused(world.service.conversations(sid).participants.create({}), 400, 50204);
  });

  features.add("participants are listed in pages", async (world) => {
    const sid = await world.conversation([1, 2, 3, 4, 5].map(() => world.name("many")));
    const listed = await world.account.conversations(sid).participants.list({ pageSize: 2 });
    assert.equal(listed.length, 5);
    assert.equal(new Set(listed.map((each) => each.sid)).size, 5);
  });

  features.add("a participant's conversations are found by identity and by address", async (world) => {
    const [identity, address, proxy] = [world.name("found"), world.phone(), world.phone()];
    const sids = [await world.conversation([identity]), await world.conversation([identity])];
    await world.service.conversations(sids[0]).participants.create({
      "messagingBinding.address": address,
      "messagingBinding.proxyAddress": proxy,
    });
    for (const api of [world.account, world.service]) {
      const byIdentity = await api.participantConversations.list({ identity, pageSize: 1 });
      assert.deepEqual(byIdentity.map((each) => each.conversationSid).sort(), [...sids].sort());
      const byAddress = await api.participantConversations.list({ address });
      assert.deepEqual(byAddress.map((each) => each.conversationSid), [sids[0]]);
      assert.equal(byAddress[0].participantMessagingBinding.proxy_address, proxy);
    }
    await refused(world.account.participantConversations.list({ identity, address }), 400, 50451);
  });
}

function users(features) {
  for (const scope of ["account", "service"]) {
    features.add(`a user's life by the ${scope}'s path`, async (world) => {
      const api = world[scope];
      const identity = world.name("person");
      const made = await api.users.create({ identity, friendlyName: "Person", attributes: '{"u":1}' });
      assert.match(made.sid, /^US[0-9a-f]{32}$/);
      assert.equal(made.isOnline, false);
      for (const key of [made.sid, identity]) assert.equal((await api.users(key).fetch()).sid, made.sid);
      assert.equal((await api.users(made.sid).update({ friendlyName: "Other" })).friendlyName, "Other");
      const listed = await api.users.list({ pageSize: 5 });
      assert.equal(listed.filter((each) => each.identity === identity).length, 1);
      await refused(api.users.create({ identity }), 409, 50201);
      assert.equal(await api.users(made.sid).remove(), true);
      await refused(api.users(made.sid).fetch(), 404);
    });
  }

  features.add("a user's conversations are listed and changed", async (world) => {
    const identity = world.name("member");
    const sid = await world.conversation([identity]);
    for (const n of [1, 2]) await world.say(sid, "system", `${n}`);
    for (const api of [world.account, world.service]) {
      const mine = await api.users(identity).userConversations.list();
      assert.deepEqual(mine.map((each) => each.conversationSid), [sid]);
      assert.equal(mine[0].conversationState, "active");
      const one = await api.users(identity).userConversations(sid).update({ notificationLevel: "muted", lastReadMessageIndex: 0 });
      assert.equal(one.notificationLevel, "muted");
      assert.equal(one.unreadMessagesCount, 1);
    }
  });

  features.add("joining makes the user", async (world) => {
    const identity = world.name("newcomer");
    await world.conversation([identity]);
    const user = await world.service.users(identity).fetch();
    assert.equal(user.identity, identity);
  });
}
