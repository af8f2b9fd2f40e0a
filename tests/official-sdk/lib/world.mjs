// What every feature needs: Twilio's own clients pointed at the emulator, and names nobody else uses.

import { Client } from "@twilio/conversations";
import twilio from "twilio";

import { Emulator } from "./emulator.mjs";
import { until } from "./features.mjs";

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

export class World {
  #clients = [];
  #names = 0;

  static async open(...argumentsOfEmulator) {
    return new World(await Emulator.find(...argumentsOfEmulator));
  }

  constructor(emulator) {
    this.emulator = emulator;
    const { account_sid, auth_token, service_sid } = emulator.credentials;
    this.twilio = this.restAs(account_sid, auth_token);
    this.account = this.twilio.conversations.v1;
    this.serviceSid = service_sid;
    this.service = this.account.services(service_sid);
  }

  /** The REST helper with these credentials. Refusals for haste are tried again, as the helper can. */
  restAs(user, password) {
    const httpClient = new Rerouted(this.emulator.urls, { autoRetry: true, maxRetries: 20 });
    const accountSid = this.emulator.credentials.account_sid;
    return twilio(user, password, { accountSid, httpClient });
  }

  /** A name that no other feature has. */
  name(stem) {
    this.#names += 1;
    return `${stem}-${process.pid}-${this.#names}`;
  }

  /** A phone number that no other feature has. */
  phone() {
    this.#names += 1;
    return `+1555${String((process.pid % 1000) * 10_000 + this.#names).padStart(7, "0")}`;
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

  leave(conversation, participant) {
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

  async close() {
    await Promise.allSettled(this.#clients.map((client) => client.shutdown()));
    await this.emulator.close();
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

/** The first event of this name that suits; fails if none comes. */
export function happens(emitter, event, suits = () => true, milliseconds = 10_000) {
  return new Promise((resolve, reject) => {
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
      reject(new Error(`no event ${event} within ${milliseconds} ms`));
    }, milliseconds);
    emitter.on(event, heard);
  });
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
