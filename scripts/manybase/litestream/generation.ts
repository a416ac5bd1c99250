/** Litestream 0.3's layout: `generations/<16 hex>/snapshots/<index>.snapshot.lz4` and `wal/<index>_<offset>.wal.lz4`. */
import { mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { compressFrame, decompressFrame } from "lz4-napi";
import { SystemError, UserError } from "../../../shared/errors.ts";
import { hex16, randomText } from "../../../shared/ids.ts";
import { type LtxFile, ltxPages } from "../../../shared/ltx/ltx.ts";
import { WalEncoder } from "./wal-file.ts";

export interface WalSegment {
  path: string;
  index: number;
  /** Of its first byte in the WAL of that index. */
  offset: number;
}

export interface Generation {
  name: string;
  /** Of its newest file. */
  modifiedMs: number;
  snapshots: { path: string; index: number }[];
  /** By index, then offset. */
  segments: WalSegment[];
}

const NAME = /^[0-9a-f]{16}$/;
const SNAPSHOT = /^([0-9a-f]{8})\.snapshot\.lz4$/;
const SEGMENT = /^([0-9a-f]{8})_([0-9a-f]{8})\.wal\.lz4$/;

/** All generations of a replica directory, newest first. */
export async function listGenerations(directory: string): Promise<Generation[]> {
  const root = join(directory, "generations");
  const names = (await readdir(root)).filter((name) => NAME.test(name));
  const found = await Promise.all(names.map((name) => readGeneration(join(root, name), name)));
  return found.toSorted((a, b) => b.modifiedMs - a.modifiedMs || (a.name < b.name ? 1 : -1));
}

async function readGeneration(root: string, name: string): Promise<Generation> {
  const generation: Generation = { name, modifiedMs: 0, snapshots: [], segments: [] };
  for (const folder of ["snapshots", "wal"]) {
    const files = await readdir(join(root, folder)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    for (const file of files) {
      const path = join(root, folder, file);
      const [, snapshot] = (folder === "snapshots" && SNAPSHOT.exec(file)) || [];
      const [, index, offset] = (folder === "wal" && SEGMENT.exec(file)) || [];
      if (snapshot !== undefined) generation.snapshots.push({ path, index: Number.parseInt(snapshot, 16) });
      else if (index !== undefined && offset !== undefined) {
        generation.segments.push({
          path,
          index: Number.parseInt(index, 16),
          offset: Number.parseInt(offset, 16),
        });
      } else continue;
      generation.modifiedMs = Math.max(generation.modifiedMs, (await stat(path)).mtimeMs);
    }
  }
  generation.snapshots.sort((a, b) => a.index - b.index);
  generation.segments.sort((a, b) => a.index - b.index || a.offset - b.offset);
  return generation;
}

/** One whole LZ4 frame, its checksum proven. @throws UserError `invalid_directory` */
export async function readFrame(path: string): Promise<Uint8Array> {
  const bytes = await readFile(path);
  try {
    if (!isWholeFrame(bytes)) throw new Error("the file does not end where its frame ends");
    return await decompressFrame(bytes);
  } catch (cause) {
    throw new UserError("invalid_directory", `Cannot import ${path}: it is not a whole LZ4 frame`, {
      cause,
      hint: "The replica is damaged or incomplete: copy it again, or take another generation (--generation).",
    });
  }
}

/**
 * Whether the file is one frame up to its end mark and checksum: the library takes an end between two blocks for the frame's.
 * Format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
function isWholeFrame(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 7 || view.getUint32(0, true) !== 0x184d_2204) return false;
  const flags = view.getUint8(4);
  const [blockChecksum, contentSize, contentChecksum, dictionary] = [16, 8, 4, 1].map((bit) =>
    (flags & bit) === 0 ? 0 : 1,
  ) as [number, number, number, number];
  let at = 7 + contentSize * 8 + dictionary * 4;
  while (at + 4 <= bytes.length) {
    const size = view.getUint32(at, true) & 0x7fff_ffff;
    at += 4;
    if (size === 0) return at + contentChecksum * 4 === bytes.length;
    at += size + blockChecksum * 4;
  }
  return false;
}

/**
 * Writes a replica of one generation: the database as its snapshot, and each change as a segment of the WAL that follows it.
 *
 * @param changes - by ascending TXID, all of the snapshot's page size
 * @returns the generation's name
 */
export async function writeGeneration(
  directory: string,
  snapshot: Uint8Array,
  changes: readonly LtxFile[] = [],
): Promise<string> {
  const name = randomText(16, "0123456789abcdef");
  const root = join(directory, "generations", name);
  await mkdir(join(root, "snapshots"), { recursive: true });
  await mkdir(join(root, "wal"), { recursive: true });
  const put = async (path: string, bytes: Uint8Array): Promise<void> =>
    writeFile(join(root, path), await compressFrame(bytes, { contentChecksum: true }));
  const [first] = changes;
  await put(`snapshots/${hex8(0)}.snapshot.lz4`, first === undefined ? snapshot : inWalMode(snapshot));
  if (first === undefined) return name;
  const { pageSize } = first.header;
  const salts = crypto.getRandomValues(new Uint32Array(2));
  const wal = new WalEncoder(pageSize, [salts[0] as number, salts[1] as number]);
  let offset = 0;
  let begin: Uint8Array = wal.header();
  for (const { header, pages } of changes) {
    if (header.pageSize !== pageSize) {
      throw new SystemError("internal", "Cannot write a WAL: the page size changes in it");
    }
    const frames = wal.transaction([...ltxPages(pages)], header.commit);
    const segment = new Uint8Array(begin.length + frames.length);
    segment.set(begin);
    segment.set(frames, begin.length);
    await put(`wal/${hex8(0)}_${hex8(offset)}.wal.lz4`, segment);
    offset += segment.length;
    begin = new Uint8Array(0);
  }
  return name;
}

/** SQLite ignores a WAL beside a file whose header does not say that it has one. */
function inWalMode(image: Uint8Array): Uint8Array {
  const copy = image.slice();
  copy[18] = 2;
  copy[19] = 2;
  return copy;
}

const hex8 = (value: number): string => hex16(value).slice(8);
