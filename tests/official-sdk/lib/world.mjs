// What every feature needs: Twilio's own clients pointed at the emulator, and names nobody else uses.

import { Client } from "@twilio/conversations";
import twilio from "twilio";

import { Emulator } from "./emulator.mjs";
import { PATIENCE_MS, pause, until } from "./features.mjs";

const { AccessToken } = twilio.jwt;

/** Sends the REST helper's requests to the emulator; everything else is the stock client. */
class Rerouted extends twilio.RequestClient {
  constructor(urls, options) {
    super(options);
    this.urls = urls;
  }

  request(options) {
    return super.request({ ...options, uri: rerouted(options.uri, this.urls) });
  }
}

function rerouted(uri, urls) {
  const url = new URL(uri);
  const base = new URL(url.hostname.startsWith("api.") ? urls.api : urls.conversations);
  url.protocol = base.protocol;
  url.host = base.host;
  return url.toString();
}

let names = 0;

export class World {
  #clients = [];

  static async open(...argumentsOfEmulator) {
    const emulator = await Emulator.find(...argumentsOfEmulator);
    // The suites make more conversations a second than Twilio lets a service make.
    await emulator.limits({});
    return new World(emulator);
  }

  constructor(emulator) {
    this.emulator = emulator;
    const { account_sid, auth_token, chat_service_sid } = emulator.credentials;
    this.twilio = this.restAs(account_sid, auth_token);
    this.account = this.twilio.conversations.v1;
    this.serviceSid = chat_service_sid;
    this.service = this.account.services(chat_service_sid);
  }

  /** The REST helper with these credentials. Refusals for haste are tried again, as the helper can. */
  restAs(user, password, options = { autoRetry: true, maxRetries: 20 }) {
    const httpClient = new Rerouted(this.emulator.urls, options);
    const accountSid = this.emulator.credentials.account_sid;
    return twilio(user, password, { accountSid, httpClient });
  }

  /** The same emulator with clients of its own, for one feature. */
  apart() {
    return new World(this.emulator);
  }

  /** A name that no other feature has. */
  name(stem) {
    names += 1;
    return `${stem}-${process.pid}-${names}`;
  }

  /** A phone number that no other feature has. */
  phone() {
    names += 1;
    return `+1555${String((process.pid % 1000) * 10_000 + names).padStart(7, "0")}`;
  }

  token(identity, options = {}) {
    const { account_sid, api_key, api_secret } = this.emulator.credentials;
    const token = new AccessToken(account_sid, api_key, options.secret ?? api_secret, {
      identity,
      ttl: options.ttl ?? 3600,
      nbf: options.nbf,
    });
    if (options.grant !== false) token.addGrant(new AccessToken.ChatGrant({ serviceSid: this.serviceSid }));
    return token.toJwt();
  }

  /** An SDK client that has not got anywhere yet. */
  raw(token) {
    const client = new Client(token, {
      logLevel: "silent",
      twilsock: { uri: this.emulator.urls.twilsock },
    });
    this.#clients.push(client);
    return client;
  }

  /** An SDK client that is initialised. */
  async client(identity, options) {
    const client = this.raw(this.token(identity, options));
    await happens(client, "initialized");
    return client;
  }

  /** A conversation with these chat participants, made by REST. */
  async conversation(identities = [], fields = {}) {
    const made = await this.service.conversations.create(fields);
    for (const identity of identities) await this.join(made.sid, identity);
    return made.sid;
  }

  join(conversation, identity) {
    return this.service.conversations(conversation).participants.create({ identity });
  }

  remove(conversation, participant) {
    return this.service.conversations(conversation).participants(participant).remove();
  }

  say(conversation, author, body, fields = {}) {
    return this.service.conversations(conversation).messages.create({ author, body, ...fields });
  }

  /** A client and its view of a new conversation, joined. */
  async seat(identity, others = [], fields = {}) {
    const sid = await this.conversation([identity, ...others], fields);
    const client = await this.client(identity);
    return { sid, client, conversation: await joined(client, sid) };
  }

  /** Ends this world's clients. */
  async leaveAll() {
    const leave = async (client) => {
      // Whoever is shut down while it starts complains on the console.
      if (client.connectionState === "connected") await Promise.race([client.getSubscribedConversations(), pause(1_000)]);
      await client.shutdown();
    };
    await Promise.allSettled(this.#clients.map(leave));
  }
}

/** The client's conversation, once it is joined there with all it holds. */
export async function joined(client, sid) {
  const conversation = await client.getConversationBySid(sid);
  await until(`status joined of ${sid}`, () => conversation.status === "joined");
  await conversation.getParticipants();
  // Only a subscribed list tells of new messages.
  await conversation.getMessages(1);
  return conversation;
}

/** The participant with this identity, once the client knows of it. */
export function participantOf(conversation, identity) {
  return until(`participant ${identity}`, () => conversation.getParticipantByIdentity(identity).catch(() => null));
}

/** The first event of this name that suits; fails if none comes. */
export function happens(emitter, event, suits = () => true) {
  const promise = new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      emitter.removeListener(event, heard);
    };
    const heard = (value) => {
      if (!suits(value)) return;
      stop();
      resolve(value);
    };
    const timer = setTimeout(() => {
      stop();
      reject(new Error(`no event ${event} within ${PATIENCE_MS} ms`));
    }, PATIENCE_MS);
    emitter.on(event, heard);
  });
  // Whoever awaits it hears of the failure; a feature that failed before that has said so itself.
  promise.catch(() => {});
  return promise;
}

/** Breaks a client's connection; done when the client has noticed, though it be back at once. */
export async function lost(client, cut) {
  const noticed = happens(client, "connectionStateChanged", (state) => state !== "connected");
  await cut();
  await noticed;
}

/** Collects every event of this name from now on. */
export function collected(emitter, event) {
  const all = [];
  emitter.on(event, (value) => all.push(value));
  return all;
}

/** All items of all pages. */
export async function everything(paginator) {
  const all = [...paginator.items];
  let page = paginator;
  while (page.hasNextPage) {
    page = await page.nextPage();
    all.push(...page.items);
  }
  return all;
}
