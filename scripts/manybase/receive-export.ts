import { createWriteStream } from "node:fs";
import { type FileHandle, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";
import { SystemError } from "../../shared/errors.ts";

export interface ReceivedExport {
  databases: string[];
  files: number;
  /** Of databases and files. */
  bytes: number;
}

const DATABASES: ReadonlySet<string> = new Set(["data.db", "auxiliary.db"]);
const STORED = /^storage\/[^/\0]+\/[^/\0]+\/[^/\0]+$/;
/** What every whole tar ends with. */
const END_BYTES = 1_024;

/**
 * Takes the tar of an export: into a directory, or as it is into an open file. Memory stays flat.
 *
 * @throws SystemError `worker_lost` when it was broken off, `object_foreign` for names that no export has
 */
export async function receiveExport(
  body: ReadableStream<Uint8Array>,
  to: { directory: string } | { file: FileHandle },
): Promise<ReceivedExport> {
  const received: ReceivedExport = { databases: [], files: 0, bytes: 0 };
  const unpack = extract();
  const entries = (async () => {
    for await (const entry of unpack) {
      const { name, size, type } = entry.header;
      check(name, type);
      received.bytes += size;
      if (DATABASES.has(name)) received.databases.push(name);
      else if (!name.endsWith(".attrs")) received.files++;
      if ("file" in to) {
        entry.resume();
        continue;
      }
      const target = join(to.directory, name);
      await mkdir(dirname(target), { recursive: true });
      await pipeline(entry, createWriteStream(target, { flags: "wx" }));
    }
  })();
  const file = "file" in to ? to.file : undefined;
  const feeding = pipeline(Readable.from(whole(body, file)), unpack);
  // The first of the two that fails destroys the other; its reason is the one to tell.
  await Promise.all([feeding, entries]).catch((error: unknown) => {
    if (error instanceof SystemError) throw error;
    throw brokenOff(error);
  });
  if (!received.databases.includes("data.db")) throw brokenOff();
  return received;
}

/** The chunks, also into the file; throws at an end that is not a tar's. */
async function* whole(
  body: ReadableStream<Uint8Array>,
  file: FileHandle | undefined,
): AsyncGenerator<Uint8Array> {
  let tail = Buffer.alloc(0);
  for await (const chunk of body) {
    tail = Buffer.concat([tail, chunk.subarray(-END_BYTES)]).subarray(-END_BYTES);
    await file?.appendFile(chunk);
    yield chunk;
  }
  if (tail.length < END_BYTES || tail.some((byte) => byte !== 0)) throw brokenOff();
}

function check(name: string, type: string | undefined | null): void {
  const known = DATABASES.has(name) || STORED.test(name);
  if (known && type === "file" && !name.split("/").some((part) => part === "." || part === "..")) return;
  throw new SystemError("object_foreign", `Cannot export: the worker sent ${JSON.stringify(name)}`, {
    hint: "Use the command line tool of the platform's own version.",
  });
}

const brokenOff = (cause?: unknown): SystemError =>
  new SystemError("worker_lost", "Cannot export: the worker broke the answer off", {
    cause,
    hint: "Nothing was kept. Try again.",
  });
