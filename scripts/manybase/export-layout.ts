import { closeSync, openSync, readSync } from "node:fs";
import { mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../shared/errors.ts";
import type { Txid } from "../../shared/ids.ts";
import { encodeLtx } from "../../shared/ltx/encode.ts";
import { type LtxPage, lockPage } from "../../shared/ltx/ltx.ts";
import { SNAPSHOT_LEVEL } from "../../shared/objects/layout.ts";
import { imagePageSize } from "../../worker/replication/capture.ts";
import { writeGeneration } from "./litestream/generation.ts";
import { writeLtxTree } from "./litestream/ltx-tree.ts";

export const LAYOUTS = ["pocketbase", "litestream", "litestream-v0.3"] as const;
export type Layout = (typeof LAYOUTS)[number];

/** @throws UserError `invalid_option` */
export function parseLayout(text = "pocketbase"): Layout {
  const layout = LAYOUTS.find((one) => one === text);
  if (layout === undefined) {
    throw new UserError("invalid_option", `Cannot export as ${text}: there is no such layout`, {
      hint: `Layouts: ${LAYOUTS.join(", ")}.`,
    });
  }
  return layout;
}

/**
 * Puts a Litestream replica in the place of a database file: `<directory>/<name>/ltx/…` or `<directory>/<name>/generations/…`.
 * One database is held in memory.
 *
 * @param txid - the tenant's position: a replica of Litestream 0.5 goes on from there
 */
export async function convertDatabase(
  directory: string,
  name: string,
  layout: Exclude<Layout, "pocketbase">,
  txid: Txid,
): Promise<void> {
  const tree = join(directory, name);
  const file = join(directory, `${name}.file`);
  await rename(tree, file);
  await mkdir(tree);
  if (layout === "litestream") {
    await writeLtxTree(tree, [{ level: SNAPSHOT_LEVEL, ltx: await snapshotOf(file, txid) }]);
  } else {
    await writeGeneration(tree, await readFile(file));
  }
  await rm(file);
}

/** The whole file as one LTX file of TXIDs 1 to `txid`. */
async function snapshotOf(path: string, txid: Txid): Promise<Uint8Array> {
  const { size, mtimeMs } = await stat(path);
  const fd = openSync(path, "r");
  try {
    const head = new Uint8Array(100);
    readSync(fd, head, 0, head.length, 0);
    const pageSize = imagePageSize(head);
    const commit = size / pageSize;
    const header = { pageSize, commit, minTxid: 1 as Txid, maxTxid: txid, timestampMs: Math.floor(mtimeMs) };
    const none = { epoch: 0 as const, walOffset: 0, walSize: 0, salt1: 0, salt2: 0 };
    return encodeLtx({ ...header, ...none }, filePages(fd, pageSize, commit));
  } finally {
    closeSync(fd);
  }
}

function* filePages(fd: number, pageSize: number, commit: number): Generator<LtxPage> {
  for (let pgno = 1; pgno <= commit; pgno++) {
    if (pgno === lockPage(pageSize)) continue;
    const data = new Uint8Array(pageSize);
    readSync(fd, data, 0, pageSize, (pgno - 1) * pageSize);
    yield { pgno, data };
  }
}
