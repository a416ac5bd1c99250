import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SystemError, UserError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { helpText, parseListen, parseOptions } from "../shared/options.ts";
import { followKeys } from "../shared/protocol/follow-keys.ts";
import { type Keyring, LiveKeyring, joinKeyrings, parseKeyring } from "../shared/protocol/keys.ts";
import { STRONG_FACTORS, attach, createCrons, createTenantApp } from "./app.ts";
import { ControlClient } from "./control-client/control-client.ts";
import { type KeyProvider, openKeyProvider } from "./encryption/key-provider.ts";
import { startWorkerServer } from "./http/server.ts";
import { claimDirectory } from "./claim-directory.ts";
import { createLog } from "./log.ts";
import { Mailer } from "./mail/mailer.ts";
import { parsePlatformSender } from "./mail/sender.ts";
import { createMemberApp } from "./member/app.ts";
import { bootstrap } from "./model/bootstrap.ts";
import { Network } from "./outbound/network.ts";
import { countedStore } from "./objects/counted.ts";
import { openObjectStore } from "./objects/open.ts";
import { probeStore } from "./objects/probe.ts";
import { createPlatformApp } from "./platform/app.ts";
import type { AsyncLag } from "./replication/gate.ts";
import { workerMetrics } from "./replication/metrics.ts";
import { type Session, startSession } from "./session.ts";

const OPTIONS = {
  control: {
    value: "<url>",
    env: "MANYBASE_CONTROL_URL",
    default: "http://127.0.0.1:7400",
    help: "The control service; several replicas separated by commas.",
  },
  listen: {
    value: "<host:port>",
    env: "MANYBASE_WORKER_LISTEN",
    default: "127.0.0.1:7500",
    help: "Where gateways reach it; port 0 takes a free one.",
  },
  advertise: {
    value: "<url>",
    env: "MANYBASE_WORKER_URL",
    help: "The address told to gateways, when it is not the one it listens on.",
  },
  data: {
    value: "<dir>",
    env: "MANYBASE_DATA",
    default: "./data",
    help: "Keys are read from <dir>/keys; local copies are kept in <dir>/worker.",
  },
  "worker-data": {
    value: "<dir>",
    env: "MANYBASE_WORKER_DATA",
    help: "Another place for local copies (one worker each).",
  },
  store: {
    value: "<url>",
    env: "MANYBASE_STORE",
    help: "Object store: file:<dir> or s3://bucket/prefix?endpoint=… (default file:<data>/store).",
  },
  keys: {
    value: "<list>",
    env: "MANYBASE_KEYS",
    help: "Key-encryption keys of encrypted tenants: local:<file> or kms:<key arn>, separated by commas; the first wraps (default local:<data>/keys/tenant.keys, when it is there).",
  },
  mail: {
    value: "<url>",
    env: "MANYBASE_MAIL",
    help: "Sends for tenants without a mail server: smtp://user:password@host:port?from=address (smtps: for TLS).",
  },
  "allow-private-network": {
    env: "MANYBASE_ALLOW_PRIVATE_NETWORK",
    help: "Lets tenants have their mail servers and identity providers on this machine and its networks.",
  },
  region: { value: "<name>", env: "MANYBASE_REGION", help: "Told to control for placement." },
  "async-lag": {
    value: "<seconds>",
    env: "MANYBASE_ASYNC_LAG",
    help: "How long what async tenants were told is written may be missing in object storage (default 5).",
  },
  "async-lag-mib": {
    value: "<MiB>",
    env: "MANYBASE_ASYNC_LAG_MIB",
    help: "How much of one async tenant may be missing there (default 4).",
  },
  "unsafe-no-fencing": {
    env: "MANYBASE_UNSAFE_NO_FENCING",
    help: "Start although the store fails the probe: two workers may then both acknowledge.",
  },
};

const { values, help } = read();
if (help) {
  process.stdout.write(
    helpText(
      "bun run worker [options]",
      "Serves tenants: their databases, files and PocketBase API.",
      OPTIONS,
    ),
  );
  process.exit(0);
}
const log = createLog("worker");
await run().catch((error: unknown) => fail(error));

async function run(): Promise<void> {
  const data = values.data ?? "./data";
  const directory = values["worker-data"] ?? join(data, "worker");
  const listen = parseListen(values.listen ?? "", "--listen");
  const stopping = new AbortController();
  const keysOf = (variable: string, name: string): Keyring =>
    readKeys(variable, join(data, "keys", `${name}.key`), stopping.signal);
  const memberKeys = keysOf("MANYBASE_MEMBER_KEY", "member");
  const gatewayKeys = keysOf("MANYBASE_GATEWAY_KEY", "gateway");
  const claim = claimDirectory(directory);

  const store = countedStore(
    await openObjectStore(values.store ?? `file:${join(data, "store")}`, process.env),
  );
  if (values["unsafe-no-fencing"] === undefined) await probeStore(store, { signal: stopping.signal });
  const keyProvider = openKeys(values.keys, join(data, "keys", "tenant.keys"));
  if (keyProvider !== undefined && (await store.keepsVersions?.({ signal: stopping.signal })) === true) {
    log.warn({ store: store.description }, VERSIONED);
  }

  const asyncLag = readAsyncLag();
  const { mail } = values;
  const network = new Network({ allowPrivate: values["allow-private-network"] !== undefined });
  const mailer = new Mailer({
    network,
    ...(mail === undefined ? {} : { platform: parsePlatformSender(mail, "--mail") }),
  });

  let session: Session | undefined;
  const crons = createCrons((tenant) => session?.visitors.work(tenant) ?? (() => undefined));
  const metrics = workerMetrics(() => session?.host.metrics(), store);
  const server = startWorkerServer({
    ...listen,
    keys: joinKeyrings(memberKeys, gatewayKeys),
    app: createTenantApp({ mailer, network, crons }),
    platform: createPlatformApp({ keys: memberKeys, factors: STRONG_FACTORS }),
    member: createMemberApp({ keys: memberKeys, session: () => session }),
    metrics: () => metrics.text(),
    session: () => session,
    log,
  });
  const url = values.advertise ?? `http://${server.hostname}:${server.port}`;
  const control = new ControlClient({
    url: values.control ?? "",
    keys: memberKeys,
    timeoutMs: limits.controlRequestMs,
  });

  const stop = (): void =>
    stopping.abort(new SystemError("tenant_stopped", "Cannot go on: the worker is stopping"));
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  // Our standard input is a pipe from the supervisor: it closes when that one dies, however it dies.
  if (process.env["MANYBASE_SUPERVISED"] !== undefined) process.stdin.once("end", stop).resume();

  let replaces = claim.previous();
  let announced = false;
  while (!stopping.signal.aborted) {
    const live = await startSession(
      {
        control,
        beats: { url: control.urls, keys: memberKeys },
        store,
        directory,
        url,
        bootstrap: async (tenant) => {
          await bootstrap(tenant);
          // Here and not at the first request: who is due is loaded without one.
          attach(tenant, crons);
        },
        keyProvider,
        log,
        observer: metrics.observer,
        asyncLag,
        ...(replaces === undefined ? {} : { replaces }),
        ...(values.region === undefined ? {} : { region: values.region }),
      },
      stopping.signal,
    );
    claim.note(live.incarnation);
    session = live;
    if (!announced) process.stdout.write(`worker ready on ${url}\n`);
    announced = true;
    await Promise.race([aborted(live.over), aborted(live.drifted), aborted(stopping.signal)]);
    if (stopping.signal.aborted) break;
    if (live.drifted.aborted) {
      log.error({ incarnation: live.incarnation, why: String(live.drifted.reason) }, "leaving");
      process.exitCode = 1;
      break;
    }
    log.error(
      { incarnation: live.incarnation, why: String(live.over.reason) },
      "this incarnation is over; registering anew",
    );
    session = undefined;
    live.abandon();
    replaces = live.incarnation;
  }
  const last = session;
  if (last !== undefined) {
    await Promise.race([last.stop(), timeout(limits.stopMsMax)]);
    claim.left();
  }
  await server.stop(true);
  await mailer.close();
  await store.close();
  process.exit();
}

/** From the environment, else from the file, which is followed: also at each SIGHUP. */
const VERSIONED =
  "the bucket keeps versions: what is deleted stays readable until they expire; purging a tenant removes those of its data keys";

/** @param file - used when it is there, without being named */
function openKeys(spec: string | undefined, file: string): KeyProvider | undefined {
  if (spec !== undefined) return openKeyProvider(spec);
  return existsSync(file) ? openKeyProvider(`local:${file}`) : undefined;
}

function readKeys(variable: string, file: string, stopping: AbortSignal): Keyring {
  const text = process.env[variable];
  if (text !== undefined && text !== "") return parseKeyring(text, variable);
  try {
    const read = (): string => readFileSync(file, "utf8");
    const ring = new LiveKeyring(parseKeyring(read(), file));
    const told = (level: "info" | "warn", message: string): void => log[level](message);
    process.on("SIGHUP", followKeys({ ring, name: file, read, told }, stopping));
    return ring;
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError("invalid_option", `Cannot read ${file}: ${(cause as Error).message}`, {
      hint: `Start \`bun run control\` first (it makes the keys), copy its keys here, or set ${variable}.`,
    });
  }
}

function readAsyncLag(): AsyncLag {
  const seconds = positive("async-lag");
  const mebibytes = positive("async-lag-mib");
  return {
    ...(seconds === undefined ? {} : { msMax: seconds * 1000 }),
    ...(mebibytes === undefined ? {} : { bytesMax: mebibytes * 1024 * 1024 }),
  };
}

/** @throws UserError `invalid_option` */
function positive(name: "async-lag" | "async-lag-mib"): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new UserError("invalid_option", `Cannot read --${name}: ${text} is not a number above 0`);
}

function read() {
  try {
    return parseOptions(OPTIONS, process.argv.slice(2), process.env);
  } catch (error) {
    return fail(error);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function timeout(ms: number): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new SystemError("internal", `Cannot stop cleanly within ${ms} ms`)), ms).unref();
  });
}

function fail(error: unknown): never {
  const known = error instanceof UserError || error instanceof SystemError;
  process.stderr.write(known ? `${error.message}\n` : `Cannot run the worker: ${String(error)}\n`);
  if (known && error.hint !== undefined) process.stderr.write(`${error.hint}\n`);
  process.exit(1);
}
