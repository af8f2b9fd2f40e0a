// The emulator as a suite sees it: where it is and as whom to come, and the orders of its control API.
//
// `CHIMEIN_EMULATOR` holds the JSON line that `chimein emulator` printed; without it an emulator is started from
// `CHIMEIN_BIN` (by default the debug build) and ended with the suite.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const BINARY = fileURLToPath(new URL("../../../target/debug/chimein", import.meta.url));

// The emulator is on this machine; no proxy may come between.
for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]) {
  delete process.env[name];
  delete process.env[name.toLowerCase()];
}

export class Emulator {
  constructor(ready, child) {
    this.urls = {
      conversations: ready.conversations_url,
      api: ready.api_url,
      twilsock: ready.twilsock_url,
      phone: ready.phone_url,
      control: ready.control_url,
    };
    this.credentials = ready;
    this.child = child;
  }

  /** Finds the emulator, or starts one with these arguments. */
  static async find(...argumentsOfEmulator) {
    if (process.env.CHIMEIN_EMULATOR) return new Emulator(JSON.parse(process.env.CHIMEIN_EMULATOR));
    const binary = process.env.CHIMEIN_BIN ?? BINARY;
    const child = spawn(binary, ["emulator", ...argumentsOfEmulator], { stdio: ["ignore", "pipe", "inherit"] });
    for await (const line of createInterface({ input: child.stdout })) {
      return new Emulator(JSON.parse(line), child);
    }
    throw new Error("the emulator ended without a word");
  }

  async close() {
    this.child?.kill("SIGTERM");
  }

  /** A phone writes; gives the conversation and the message. */
  sms(from, to, body) {
    return this.order("POST", "inbound", { from, to, body });
  }

  /** Breaks the connections of an identity, without a word. */
  cut(identity) {
    return this.order("POST", "sockets", { do: "drop", identity });
  }

  /** Sends the clients of an identity a close frame, such as `{ code: 308 }`. */
  closeSocket(identity, status) {
    return this.order("POST", "sockets", { do: "close", identity, ...status });
  }

  /** Lets a fault wait at a place; it acts `times` times. */
  fault(place, action, times = 1) {
    return this.order("POST", "faults", { where: place, do: action, times });
  }

  /** Sets limits; those not named are Twilio's, but for the one that would slow every suite. */
  limits(limits) {
    return this.order("POST", "limits", { service_writes: 10_000, ...limits });
  }

  clearFaults() {
    return this.order("DELETE", "faults");
  }

  /** One order to the control API; gives its JSON. */
  async order(method, path, body) {
    const answer = await fetch(new URL(path, this.urls.control), {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`control ${method} ${path}: ${answer.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }
}
