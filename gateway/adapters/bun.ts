import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname, relative, resolve } from "node:path";
import type { Runtime } from "../runtime.ts";
import { connect, listen } from "./bun-sockets.ts";
import { startThreads } from "./threads.ts";

/** The gateway's view of Bun. */
export function bunRuntime(): Runtime {
  const stopping = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => stopping.abort());
  if (process.env["MANYBASE_SUPERVISED"] !== undefined) void endWithParent(stopping);
  const make = (): Worker => new Worker(new URL("./bun-thread.ts", import.meta.url));
  return {
    ...bunParts(stopping.signal),
    arguments: process.argv.slice(2),
    startThreads: (...given) => startThreads(make, ...given),
  };
}

/** What its threads have of it, too. */
export function bunParts(stopping: AbortSignal): Omit<Runtime, "arguments"> {
  return {
    environment: process.env,
    stopping,
    fetch: undecodedFetch,
    decodesBodies: false,
    readText: (path) => readFileSync(path, "utf8"),
    replaceText,
    readFolder,
    onReload: (look) => void process.on("SIGHUP", look),
    connect,
    mac: ({ secret }, text) => new Bun.CryptoHasher("sha256", secret).update(text).digest("base64url"),
    listen,
    metrics: async (...given) => (await import("./prometheus.ts")).prometheus(...given),
    print: (line) => console.log(line),
    complain: (line) => console.error(line),
    exit: (status) => process.exit(status),
  };
}

const undecodedFetch = ((url: string, init: RequestInit) =>
  fetch(url, { ...init, decompress: false })) as typeof fetch;

function replaceText(path: string, text: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const next = `${path}.next`;
  const file = openSync(next, "w");
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(next, path);
  return Promise.resolve();
}

function* readFolder(folder: string, filesMax: number): Generator<[string, Uint8Array<ArrayBuffer>]> {
  let left = filesMax;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    if (left-- <= 0) throw new Error(`it has over ${filesMax} files`);
    const path = resolve(entry.parentPath, entry.name);
    yield [relative(folder, path).replaceAll("\\", "/"), new Uint8Array(readFileSync(path))];
  }
}

/** Our standard input is a pipe from the supervisor: it closes when that one dies, however it dies. */
async function endWithParent(stopping: AbortController): Promise<void> {
  for await (const chunk of Bun.stdin.stream()) void chunk;
  stopping.abort();
}
