import { join } from "node:path";
import { SystemError, UserError } from "../shared/errors.ts";
import { sealLog } from "../shared/log/seal.ts";
import { admitOperator } from "./admit-operator.ts";
import { controlApp } from "./api/app.ts";
import { systemClock } from "./clock.ts";
import { listen } from "./listen.ts";
import { createLog } from "./log.ts";
import { openObjectStore } from "./objects.ts";
import { type ControlOptions, controlHelp, readControlOptions } from "./options.ts";
import { requireDirectory } from "./private-files.ts";
import { openRaftStore } from "./raft/open.ts";
import { readControlKeys } from "./read-keys.ts";
import { openControl } from "./service.ts";

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
  const keys = readControlKeys(options.data, process.env);
  const objects = await openObjectStore(options.store, process.env);
  const store = await openRaftStore({ directory: join(options.data, "control"), onFailure: fail });
  const control = await openControl({
    store,
    objects,
    ...keys,
    domain: options.domain,
    sealLog,
    clock: systemClock,
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    fetch: globalThis.fetch,
    log,
  });
  const app = controlApp(control);
  const server = listen(options.listen, (request) => app.fetch(request));

  const state = await control.leadership.settled(stopping.signal).catch(() => undefined);
  if (typeof state === "object") throw state.refused;
  if (state === "leading") {
    const token = process.env["MANYBASE_OPERATOR_TOKEN"];
    const made = await admitOperator(control, {
      ...(token === undefined || token === "" ? {} : { token }),
      ...(options.operatorTokenFile === undefined ? {} : { file: options.operatorTokenFile }),
    });
    if (made !== undefined) process.stdout.write(`operator token, shown only now: ${made}\n`);
  }
  if (!stopping.signal.aborted) {
    process.stdout.write(`control ready on http://${server.hostname}:${server.port}\n`);
    await new Promise((resolve) => stopping.signal.addEventListener("abort", resolve, { once: true }));
  }
  await control.close();
  await server.stop(true);
  await store.close();
  await objects.close();
  process.exit(0);
}

function fail(error: unknown): never {
  const known = error instanceof UserError || error instanceof SystemError;
  const hint = known && error.hint !== undefined ? ` (${error.hint})` : "";
  process.stderr.write(known ? `${error.message}${hint}\n` : `Cannot run control: ${String(error)}\n`);
  process.exit(1);
}
