import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { SystemError, UserError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { helpText, parseListen, parseOptions } from "../shared/options.ts";
import { addLocalKey } from "../worker/encryption/local-keyring.ts";
import { type Part, startPart } from "./all/part.ts";
import { welcome } from "./all/welcome.ts";

const OPTIONS = {
  port: {
    value: "<port>",
    env: "MANYBASE_PORT",
    default: "8080",
    help: "Where browsers and clients connect.",
  },
  host: {
    value: "<address>",
    env: "MANYBASE_HOST",
    default: "127.0.0.1",
    help: "The address to listen on; 0.0.0.0 for all.",
  },
  data: {
    value: "<dir>",
    env: "MANYBASE_DATA",
    default: "./data",
    help: "Everything is kept below this directory.",
  },
  domain: {
    value: "<name>",
    env: "MANYBASE_DOMAIN",
    default: "localhost",
    help: "Tenants are <slug>.<name>.",
  },
  store: { value: "<url>", env: "MANYBASE_STORE", help: "Object store (default file:<data>/store)." },
  keys: {
    value: "<list>",
    env: "MANYBASE_KEYS",
    help: "Key-encryption keys of encrypted tenants (default: a keyring in <data>/keys, made at the first start).",
  },
  "control-port": {
    value: "<port>",
    env: "MANYBASE_CONTROL_PORT",
    default: "0",
    help: "Private port of control; 0 takes a free one.",
  },
  "worker-port": {
    value: "<port>",
    env: "MANYBASE_WORKER_PORT",
    default: "0",
    help: "Private port of the worker; 0 takes a free one.",
  },
};

const root = resolve(import.meta.dir, "..");
const startedMs = performance.now();

try {
  await run();
} catch (error) {
  const known = error instanceof UserError || error instanceof SystemError;
  process.stderr.write(known ? `${error.message}\n` : `Cannot start: ${String(error)}\n`);
  if (known && error.hint !== undefined) process.stderr.write(`${error.hint}\n`);
  process.exit(1);
}

async function run(): Promise<void> {
  const { values, help } = parseOptions(OPTIONS, process.argv.slice(2), process.env);
  if (help) {
    process.stdout.write(
      helpText("npm start -- [options]", "Runs the whole platform on this machine.", OPTIONS),
    );
    process.exit(0);
  }
  const listen = parseListen(`${values.host}:${values.port}`, "--port");
  const domain = values.domain ?? "localhost";
  const data = resolve(values.data ?? "./data");
  const tokenFile = join(data, "operator.token");
  const localFile = join(data, "local.json");
  prepare(data);
  await requireFreePort(listen.hostname, listen.port);
  const firstStart = !existsSync(tokenFile);

  const parts: Part[] = [];
  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    process.stdout.write("\nStopping: draining and flushing…\n");
    // The edge first, so that nothing new comes in; control last, because a worker says goodbye to it.
    for (const part of parts.toReversed()) await part.stop();
    rmSync(localFile, { force: true });
    process.stdout.write("Stopped.\n");
    process.exit(0);
  };
  process.on("SIGINT", () => void stop());
  process.on("SIGTERM", () => void stop());
  process.on("SIGHUP", () => void stop());

  const store = values.store ?? `file:${join(data, "store")}`;
  const keys = values.keys ?? `local:${tenantKeyring(data)}`;
  const common = ["--data", data];
  const bun = process.execPath;
  try {
    const control = await startPart("control", root, (address) => [
      bun,
      "control/main.ts",
      ...common,
      "--store",
      store,
      "--domain",
      domain,
      "--operator-token-file",
      tokenFile,
      "--listen",
      address ?? `127.0.0.1:${values["control-port"]}`,
    ]);
    parts.push(control);
    const worker = await startPart("worker", root, (address) => [
      bun,
      "worker/main.ts",
      ...common,
      "--store",
      store,
      "--keys",
      keys,
      "--control",
      control.url,
      "--listen",
      address ?? `127.0.0.1:${values["worker-port"]}`,
      // Nobody but this machine's own users can be a tenant here.
      ...(isLoopback(listen.hostname) ? ["--allow-private-network"] : []),
    ]);
    parts.push(worker);
    const gateway = await startPart("gateway", root, (address) => [
      join(root, "node_modules", ".bin", "deno"),
      "run",
      "--no-prompt",
      "--allow-net",
      "--allow-env=MANYBASE_GATEWAY_*,MANYBASE_CONTROL_URL,MANYBASE_DOMAIN,MANYBASE_DATA,MANYBASE_SUPERVISED",
      `--allow-read=${join(data, "keys", "gateway.key")},${join(data, "gateway")}`,
      `--allow-write=${join(data, "gateway")}`,
      "gateway/main.ts",
      ...common,
      "--control",
      control.url,
      "--domain",
      domain,
      "--listen",
      address ?? `${listen.hostname}:${listen.port}`,
    ]);
    parts.push(gateway);
    const port = Number(new URL(gateway.url).port || 80);
    writeFileSync(
      localFile,
      JSON.stringify({ admin: hostUrl("admin", domain, port), control: control.url }),
      { mode: 0o600 },
    );
    const token = readFileSync(tokenFile, "utf8").trim();
    process.stdout.write(
      welcome({
        url: (name) => hostUrl(name, domain, port),
        data,
        tokenFile,
        controlUrl: control.url,
        store,
        seconds: (performance.now() - startedMs) / 1000,
        ...(firstStart ? { token } : {}),
      }),
    );
  } catch (error) {
    for (const part of parts.toReversed()) await part.stop();
    throw error;
  }
}

/** Of encrypted tenants; made when missing. */
function tenantKeyring(data: string): string {
  const file = join(data, "keys", "tenant.keys");
  if (!existsSync(file)) {
    mkdirSync(join(data, "keys"), { recursive: true, mode: 0o700 });
    addLocalKey(file, Date.now());
  }
  return file;
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || hostname.startsWith("127.");
}

function hostUrl(name: string, domain: string, port: number): string {
  return `http://${name}.${domain}${port === 80 ? "" : `:${port}`}`;
}

function prepare(data: string): void {
  const probe = join(data, `.write-${process.pid}`);
  try {
    mkdirSync(data, { recursive: true });
    writeFileSync(probe, "");
    rmSync(probe);
  } catch (cause) {
    throw new UserError("invalid_directory", `Cannot write to ${data}: ${(cause as Error).message}`, {
      hint: "Choose another directory with --data.",
    });
  }
}

function requireFreePort(hostname: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    const timer = setTimeout(
      () => reject(new SystemError("address_in_use", `Cannot listen on ${hostname}:${port}: no answer`)),
      limits.controlRequestMs,
    );
    server.once("error", (cause: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      const why = cause.code === "EADDRINUSE" ? "another program uses that port" : cause.message;
      reject(
        new SystemError("address_in_use", `Cannot listen on ${hostname}:${port}: ${why}`, {
          hint: "Choose another one with --port.",
        }),
      );
    });
    server.listen(port, hostname, () => {
      clearTimeout(timer);
      server.close(() => resolve());
    });
  });
}
