import { createHash } from "node:crypto";
import { once } from "node:events";
import { buffer } from "node:stream/consumers";
import { createZstdCompress } from "node:zlib";
import { z } from "zod";
import { SystemError } from "../../shared/errors.ts";

export interface ControlSnapshot {
  cluster: string;
  block: number;
  revision: number;
  at: string;
  rows: [key: string, value: unknown][];
}

const headerSchema = z.object({
  format: z.literal("manybase-control"),
  version: z.number().int(),
  cluster: z.string().min(1),
  block: z.number().int().min(0),
  revision: z.number().int().min(0),
  at: z.string(),
});
const endSchema = z.object({ rows: z.number().int().min(0), sha256: z.string() });
const VERSION = 1;
const ROWS_PER_TURN = 2_000;

/**
 * JSON lines, compressed by zstd: a header, `[key, value]` for each row, and an end with their number and the SHA-256 of all lines
 * before it. Gives way to the event loop in between.
 */
export async function encodeSnapshot(
  snapshot: Omit<ControlSnapshot, "rows"> & { rows: Iterable<[key: string, value: unknown]> },
): Promise<Uint8Array> {
  const { rows, ...facts } = snapshot;
  const compressor = createZstdCompress();
  const compressed = buffer(compressor);
  const hash = createHash("sha256");
  const write = async (text: string): Promise<void> => {
    if (!compressor.write(text)) await once(compressor, "drain");
    await new Promise((resolve) => setImmediate(resolve));
  };
  let lines = `${JSON.stringify({ format: "manybase-control", version: VERSION, ...facts })}\n`;
  let count = 0;
  for (const row of rows) {
    lines += `${JSON.stringify(row)}\n`;
    if (++count % ROWS_PER_TURN !== 0) continue;
    hash.update(lines);
    await write(lines);
    lines = "";
  }
  hash.update(lines);
  compressor.end(`${lines}${JSON.stringify({ rows: count, sha256: hash.digest("hex") })}\n`);
  return await compressed;
}

/** @throws SystemError `object_corrupt`, `object_version` */
export async function decodeSnapshot(key: string, bytes: Uint8Array): Promise<ControlSnapshot> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(await Bun.zstdDecompress(bytes));
  } catch (cause) {
    throw damaged(key, "it cannot be decompressed", cause);
  }
  const lines = text.split("\n");
  if (lines.pop() !== "" || lines.length < 2) throw damaged(key, "it is cut off");
  const end = endSchema.safeParse(parse(key, lines.pop() ?? ""));
  const header = headerSchema.safeParse(parse(key, lines[0] ?? ""));
  if (!header.success) throw damaged(key, "its first line is none of a snapshot");
  if (header.data.version > VERSION) {
    throw new SystemError("object_version", `Cannot read ${key}: its version is ${header.data.version}`, {
      hint: "A later version of Manybase wrote it: run that version, or choose another with --from.",
    });
  }
  if (!end.success || end.data.rows !== lines.length - 1) throw damaged(key, "it is cut off");
  const body = lines.map((line) => `${line}\n`).join("");
  if (createHash("sha256").update(body).digest("hex") !== end.data.sha256)
    throw damaged(key, "its checksum differs");
  const { cluster, block, revision, at } = header.data;
  return {
    cluster,
    block,
    revision,
    at,
    rows: lines.slice(1).map((line) => parse(key, line) as [string, unknown]),
  };
}

function parse(key: string, line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw damaged(key, "a line of it is no JSON", cause);
  }
}

const damaged = (key: string, state: string, cause?: unknown): SystemError =>
  new SystemError("object_corrupt", `Cannot read ${key}: ${state}`, {
    cause,
    hint: "Nothing was deleted. An older snapshot, or none at all (--from none), works too.",
  });
