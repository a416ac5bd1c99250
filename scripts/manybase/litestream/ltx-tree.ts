/** Litestream 0.5's layout: LTX files by level, in the names of its file client or of its S3 client. */
import { mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SystemError, UserError } from "../../../shared/errors.ts";
import { type Txid, hex16 } from "../../../shared/ids.ts";
import { decodeLtx, decodeLtxHeader } from "../../../shared/ltx/decode.ts";
import type { LtxFile } from "../../../shared/ltx/ltx.ts";
import { type ChainFile, planChain } from "../../../worker/replication/chain.ts";
import { PageFile } from "./page-file.ts";

export interface LtxTreeFile {
  /** 0..8 increments, 9 snapshots. */
  level: number;
  ltx: Uint8Array;
}

/**
 * Lays LTX files out as Litestream's own `file:` client expects them: `<directory>/ltx/<level>/<min>-<max>.ltx`, the level in decimal.
 * (Its S3 client, whose names our object store has, writes `<path>/<level:04x>/<min>-<max>.ltx`.)
 */
export async function writeLtxTree(directory: string, files: Iterable<LtxTreeFile>): Promise<void> {
  for (const { level, ltx } of files) {
    const { minTxid, maxTxid } = decodeLtxHeader(ltx);
    const path = join(directory, "ltx", String(level), `${hex16(minTxid)}-${hex16(maxTxid)}.ltx`);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, ltx);
  }
}

export interface LtxTreeRestore {
  files: number;
  txid: Txid;
}

/** Whether a directory holds levels in either client's names. */
export async function isLtxTree(directory: string): Promise<boolean> {
  return (await levelsOf(directory)).length > 0;
}

/**
 * Builds a database from a tree of LTX files: the newest snapshot and the files after it. Every checksum is proven, and TXIDs
 * must follow each other up to the highest one that any file names.
 *
 * @throws UserError `invalid_directory`
 */
export async function restoreLtxTree(directory: string, target: string): Promise<LtxTreeRestore> {
  const found: ChainFile[] = [];
  for (const { level, path } of await levelsOf(directory)) {
    for (const name of await readdir(path)) found.push(...(await fileOf(level, join(path, name), name)));
  }
  const chain = orRefuse(directory, () => planChain(found));
  const last = chain.at(-1);
  if (chain[0]?.minTxid !== 1 || last === undefined) {
    throw refused(directory, "it has no snapshot, a file that begins at TXID 1");
  }
  const file = new PageFile(target);
  let pageSizeBefore: number | undefined;
  try {
    for (const link of chain) {
      const { header, pages } = await readLink(link);
      const { pageSize, commit } = header;
      if (pageSize !== pageSizeBefore) {
        if (pages.size < commit - 1) throw refused(link.key, `its page size is ${pageSize} of a sudden`);
        file.image(new Uint8Array(0));
      }
      file.apply(pageSize, commit, pages);
      pageSizeBefore = pageSize;
    }
  } finally {
    file.close();
  }
  return { files: chain.length, txid: last.maxTxid };
}

async function readLink({ key, minTxid, maxTxid }: ChainFile): Promise<LtxFile> {
  const bytes = await readFile(key);
  const decoded = orRefuse(key, () => decodeLtx(bytes));
  const { header } = decoded;
  if (header.minTxid !== minTxid || header.maxTxid !== maxTxid) {
    throw refused(key, `it holds TXIDs ${header.minTxid} to ${header.maxTxid}`);
  }
  return decoded;
}

const FILE = /^([0-9a-f]{16})-([0-9a-f]{16})\.ltx$/;

async function fileOf(level: number, path: string, name: string): Promise<ChainFile[]> {
  const [, min, max] = FILE.exec(name) ?? [];
  // What a client was still writing has another ending.
  if (min === undefined || max === undefined) return [];
  const { size, mtimeMs } = await stat(path);
  return [
    {
      key: path,
      level,
      minTxid: Number.parseInt(min, 16) as Txid,
      maxTxid: Number.parseInt(max, 16) as Txid,
      size,
      modifiedMs: mtimeMs,
    },
  ];
}

async function levelsOf(directory: string): Promise<{ level: number; path: string }[]> {
  const decimal = await folders(join(directory, "ltx"), /^\d$/, 10);
  return decimal.length > 0 ? decimal : folders(directory, /^000\d$/, 16);
}

async function folders(
  directory: string,
  pattern: RegExp,
  radix: number,
): Promise<{ level: number; path: string }[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && pattern.test(entry.name))
    .map(({ name }) => ({ level: Number.parseInt(name, radix), path: join(directory, name) }));
}

function orRefuse<T>(where: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (!(cause instanceof SystemError)) throw cause;
    throw refused(where, cause.message, cause);
  }
}

const refused = (where: string, state: string, cause?: unknown): UserError =>
  new UserError("invalid_directory", `Cannot import ${where}: ${state}`, {
    cause,
    hint: "The replica is damaged or incomplete. Copy the whole of it again; nothing was imported.",
  });
