// Runs features and prints one line for each: `ok   <feature>` or `FAIL <feature>: <why>`.
//
// A feature is a claim about one thing that Twilio's SDK can do against the emulator. Features run several at
// once, each with its own conversations and identities; those marked `alone` disturb others (they cut every
// socket, or change a limit) and run one after another at the end. `--only=<text>[,<text>]` runs the features whose
// names contain one of the texts; `--list` only prints the names; `--patience=<milliseconds>` is how long something is
// waited for. The process ends with 0 only if every feature holds.

/** How long something is waited for before it has failed, on a machine that is busy with other things. */
export const PATIENCE_MS = Number(option("patience")[0] ?? 30_000);
const FEATURE_MS_MAX = 3 * PATIENCE_MS;
const LEAVE_MS_MAX = 10_000;
const AT_ONCE = 6;

export class Features {
  #all = [];
  #atOnce;

  constructor(atOnce = AT_ONCE) {
    this.#atOnce = atOnce;
  }

  /** Adds a feature; `options.alone` keeps others away while it runs. */
  add(name, check, options = {}) {
    if (this.#all.some((known) => known.name === name)) throw new Error(`two features named ${name}`);
    this.#all.push({ name, check, alone: options.alone ?? false });
  }

  /** Runs what the command line chose against the world that `open` gives, then ends the process. */
  async run(open) {
    if (process.argv.includes("--list")) this.list();
    const chosen = this.#chosen();
    const world = await open();
    const failures = [];
    const stray = [];
    const note = (error) => {
      // A client that is shut down while it starts says so in a promise that nobody holds.
      if (error?.constructor?.name !== "TransportUnavailableError") stray.push(error);
    };
    process.on("uncaughtException", note);
    process.on("unhandledRejection", note);
    const one = async (feature) => {
      const started = Date.now();
      const apart = world.apart();
      try {
        await within(FEATURE_MS_MAX, feature.check(apart));
        console.log(`ok   ${feature.name} (${Date.now() - started} ms)`);
      } catch (error) {
        failures.push(feature.name);
        console.log(`FAIL ${feature.name}: ${said(error)}`);
      } finally {
        await within(LEAVE_MS_MAX, apart.leaveAll()).catch(note);
      }
    };
    const waiting = chosen.filter((feature) => !feature.alone);
    const worker = async () => {
      for (let feature = waiting.shift(); feature; feature = waiting.shift()) await one(feature);
    };
    await Promise.all(Array.from({ length: this.#atOnce }, worker));
    for (const feature of chosen.filter((each) => each.alone)) await one(feature);
    await world.emulator.close();
    for (const error of stray) {
      failures.push("nothing is thrown outside a feature");
      console.log(`FAIL nothing is thrown outside a feature: ${said(error)}`);
    }
    console.log(`${chosen.length - failures.length} of ${chosen.length} features hold`);
    process.exit(failures.length === 0 && chosen.length > 0 ? 0 : 1);
  }

  /** All names, one a line. */
  list() {
    for (const { name } of this.#all) console.log(name);
    process.exit(0);
  }

  #chosen() {
    const texts = option("only");
    if (texts.length === 0) return this.#all;
    return this.#all.filter((feature) => texts.some((text) => feature.name.includes(text)));
  }
}

/** Fails unless `promise` settles in time. */
export async function within(milliseconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until `probe` gives something truthy, and gives that; `what` names it if it never comes. */
export async function until(what, probe) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
    await pause(20);
  }
}

/** Lets some time pass; only for showing that something does not happen, or between two probes. */
export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Fails unless `promise` is refused with this HTTP status and, if given, this Twilio code. */
export async function refused(promise, status, code) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    const seenStatus = error.status ?? error.body?.status;
    const seenCode = error.code ?? error.body?.code;
    if (seenStatus !== status) throw new Error(`refused with status ${seenStatus}, not ${status}: ${said(error)}`);
    if (code !== undefined && Number(seenCode) !== code && Number(error.body?.code) !== code) {
      throw new Error(`refused with code ${seenCode}, not ${code}: ${said(error)}`);
    }
    return error;
  }
  throw new Error(`was not refused but gave ${JSON.stringify(value)?.slice(0, 200)}`);
}

/** What the command line says for an option, each time that it is given. */
function option(name) {
  const start = `--${name}=`;
  return process.argv.filter((argument) => argument.startsWith(start)).map((argument) => argument.slice(start.length));
}

function said(error) {
  const text = error instanceof Error ? error.message : JSON.stringify(error);
  return String(text).replaceAll(/\s*\n\s*/g, " ").slice(0, 600);
}
