import type { Logger } from "pino";
import { SystemError, UserError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { sealLog } from "../shared/log/seal.ts";
import { VERSION } from "../shared/version.ts";
import { admitOperator } from "./admit-operator.ts";
import { controlApp } from "./api/app.ts";
import { forwardToLeader } from "./api/forward.ts";
import { systemClock } from "./clock.ts";
import { announceReplica, oldestPart } from "./domain/cluster-version.ts";
import { txtResolver } from "./domains/txt-resolver.ts";
import { openEngine } from "./engine.ts";
import { Listener } from "./listener.ts";
import { createLog } from "./log.ts";
import { openObjectStore } from "./objects.ts";
import { type ControlOptions, controlHelp, readControlOptions } from "./options.ts";
import { requireDirectory } from "./private-files.ts";
import { readControlKeys } from "./read-keys.ts";
import { type Control, type ControlParts, openControl } from "./service.ts";

const WAITS: ReadonlySet<string> = new Set([
  "control_no_leader",
  "control_state_unknown",
  "control_unreachable",
]);

try {
  const options = readControlOptions(process.argv.slice(2), process.env);
  if (options === "help") process.stdout.write(controlHelp());
  else await run(options);
} catch (error) {
  fail(error);
}

async function run(options: ControlOptions): Promise<void> {
  const log = createLog();
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  // Under a supervisor standard input is a pipe from it: it closes when that one dies, however it dies.
  if (process.env["MANYBASE_SUPERVISED"] !== undefined) process.stdin.once("end", stop).resume();

  requireDirectory(options.data, "data directory");
  const { follow: followKeyFiles, ...keys } = readControlKeys(options.data, process.env);
  followKeyFiles((level, message) => log[level](message), stopping.signal);
  const objects = await openObjectStore(options.store, process.env);
  const listener = new Listener(options.listen);
  const engine = await openEngine(options.engine, {
    data: options.data,
    url: listener.url,
    keys: keys.memberKeys,
    log,
    stopping: stopping.signal,
    fail,
  });
  listener.links = (request, server) => engine.accept(request, server);
  const { store } = engine;
  const parts: ControlParts = {
    store,
    objects,
    ...keys,
    domain: options.domain,
    settings: options.settings,
    sealLog,
    clock: systemClock,
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    fetch: globalThis.fetch,
    resolveTxt: txtResolver(options.dns),
    log,
  };
  const control = await withQuorum(log, stopping.signal, () => openControl(parts));
  if (control === undefined) {
    await listener.close();
    await store.close();
    process.exit(0);
  }
  const app = controlApp(control);
  listener.answer = forwardToLeader(control, (request) => app.fetch(request));

  const state = await control.leadership.settled(stopping.signal).catch(() => undefined);
  if (typeof state === "object") throw state.refused;
  if (state !== undefined) {
    const token = process.env["MANYBASE_OPERATOR_TOKEN"];
    // On a follower too: which replica will lead is not known when they start.
    const made = await withQuorum(log, stopping.signal, () =>
      admitOperator(control, {
        ...(token === undefined || token === "" ? {} : { token }),
        ...(options.operatorTokenFile === undefined ? {} : { file: options.operatorTokenFile }),
      }),
    );
    if (made !== undefined) process.stdout.write(`operator token, shown only now: ${made}\n`);
  }
  if (state !== undefined) await withQuorum(log, stopping.signal, () => tellVersion(control));
  if (!stopping.signal.aborted) {
    process.stdout.write(`control ready on ${listener.url}\n`);
    await new Promise((resolve) => stopping.signal.addEventListener("abort", resolve, { once: true }));
  }
  await control.close();
  await listener.close();
  await store.close();
  await objects.close();
  process.exit(0);
}

/** So that all know which releases there are, see `GET /api/cp/health`. */
async function tellVersion({ runner, store, table, log }: Control): Promise<void> {
  const { self } = await store.health();
  await runner.run((view) => announceReplica(view, self, VERSION));
  const members = (await store.members()).map(({ id }) => id);
  const oldest = oldestPart(table, members, { version: VERSION, who: `control ${self}` });
  log.info({ version: VERSION, oldest: oldest.version, of: oldest.who }, "releases");
}

/** Waits for a majority of the members: one that starts first is no mistake. Undefined when it is told to stop meanwhile. */
async function withQuorum<T>(
  log: Logger,
  stopping: AbortSignal,
  work: () => Promise<T>,
): Promise<T | undefined> {
  for (let attempt = 1; !stopping.aborted; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof SystemError) || !WAITS.has(error.code)) throw error;
      if (attempt === 1) log.warn({ error: error.message }, "waiting for a majority of control's members");
      await systemClock.sleep(limits.controlRetryMsMax, stopping).catch(() => undefined);
    }
  }
  return undefined;
}

function fail(error: unknown): never {
  const known = error instanceof UserError || error instanceof SystemError;
  const hint = known && error.hint !== undefined ? ` (${error.hint})` : "";
  process.stderr.write(known ? `${error.message}${hint}\n` : `Cannot run control: ${String(error)}\n`);
  process.exit(1);
}
