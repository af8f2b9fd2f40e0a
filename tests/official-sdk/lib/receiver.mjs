// An endpoint for webhooks: keeps what comes, with the validator's verdict, and answers as it is told.

import { once } from "node:events";
import { createServer } from "node:http";

import twilio from "twilio";

import { until } from "./features.mjs";

export class Receiver {
  /** Everything received, in order: `{ method, headers, fields, valid, path }`. */
  received = [];
  /** Gives an answer `{ status, body, afterMs }` for a request; 200 without a body unless replaced. */
  answer = () => ({ status: 200 });

  static async open(authToken) {
    const receiver = new Receiver();
    receiver.server = createServer((request, response) => receiver.#take(authToken, request, response));
    receiver.server.listen(0, "127.0.0.1");
    await once(receiver.server, "listening");
    receiver.url = `http://127.0.0.1:${receiver.server.address().port}`;
    return receiver;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }

  events(type) {
    return this.received.filter((each) => each.fields.EventType === type);
  }

  /** Waits for the first request that suits. */
  first(what, suits) {
    return until(what, () => this.received.find(suits));
  }

  async #take(authToken, request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const url = `${this.url}${request.url}`;
    const form = new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
    const posted = Object.fromEntries(form);
    const signature = request.headers["x-twilio-signature"] ?? "";
    const taken = {
      method: request.method,
      path: new URL(url).pathname,
      headers: request.headers,
      fields: request.method === "GET" ? Object.fromEntries(new URL(url).searchParams) : posted,
      valid: twilio.validateRequest(authToken, signature, url, posted),
      at: Date.now(),
    };
    this.received.push(taken);
    const { status, body, afterMs } = this.answer(taken);
    setTimeout(() => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(body);
    }, afterMs ?? 0);
  }
}
