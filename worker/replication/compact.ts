import { SystemError } from "../../shared/errors.ts";
import type { DatabaseName, TenantId, Txid } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeLtx, decodeLtxHeader } from "../../shared/ltx/decode.ts";
import { encodeLtx } from "../../shared/ltx/encode.ts";
import { LTX_HEADER_BYTES, type LtxFile, ltxPages } from "../../shared/ltx/ltx.ts";
import { mergeLtx } from "../../shared/ltx/merge.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { ltxKey } from "../../shared/objects/layout.ts";
import type { ChainFile } from "./chain.ts";
import type { Clock } from "./clock.ts";
import { fetchObject } from "./fetch-object.ts";
import type { Compaction } from "./maintenance-plan.ts";
import { parallel } from "./parallel.ts";
import { putDurably } from "./put-durably.ts";

/**
 * Merges files of one level into one of the next, or into several where the page size changes.
 * @returns what is there now @throws SystemError `chain_gap`, `object_corrupt`, `object_foreign`
 */
export async function compact(
  { store, clock, signal }: { store: ObjectStore; clock: Clock; signal: AbortSignal },
  tenant: TenantId,
  database: DatabaseName,
  { level, files }: Compaction,
): Promise<ChainFile[]> {
  const bodies = await parallel(files, limits.restoreParallelGets, (file) =>
    fetchObject(store, file.key, file.size, signal),
  );
  const written: ChainFile[] = [];
  for (const run of runs(files, bodies)) {
    const { header, bytes } = run.length === 1 ? (run[0] as Decoded) : merge(run);
    const { minTxid, maxTxid } = header;
    const key = ltxKey(tenant, database, level, minTxid, maxTxid);
    const outcome = await putDurably(store, key, () => bytes, { clock, signal });
    if (outcome === "exists") await checkSame(store, key, minTxid, maxTxid, signal);
    written.push({ key, level, minTxid, maxTxid, size: bytes.length, modifiedMs: clock.nowMs() });
  }
  return written;
}

interface Decoded extends LtxFile {
  bytes: Uint8Array;
}

function runs(files: readonly ChainFile[], bodies: readonly Uint8Array[]): Decoded[][] {
  const found: Decoded[][] = [];
  for (const [i, bytes] of bodies.entries()) {
    const file = { ...decodeLtx(bytes), bytes };
    const { minTxid, maxTxid, pageSize } = file.header;
    if (minTxid !== files[i]?.minTxid || maxTxid !== files[i]?.maxTxid) {
      throw new SystemError("object_foreign", `Cannot merge ${files[i]?.key}: it holds other TXIDs`);
    }
    const last = found.at(-1);
    if (last !== undefined && last[0]?.header.pageSize === pageSize) last.push(file);
    else found.push([file]);
  }
  return found;
}

function merge(run: readonly Decoded[]): Decoded {
  const file = mergeLtx(run);
  return { ...file, bytes: encodeLtx(file.header, ltxPages(file.pages)) };
}

/** The same TXIDs hold the same pages, whoever merged them. */
async function checkSame(
  store: ObjectStore,
  key: string,
  minTxid: Txid,
  maxTxid: Txid,
  signal: AbortSignal,
): Promise<void> {
  const found = await store.range(key, { offset: 0, length: LTX_HEADER_BYTES }, { signal });
  const there = found === undefined ? undefined : decodeLtxHeader(found.bytes);
  if (there?.minTxid === minTxid && there.maxTxid === maxTxid) return;
  throw new SystemError("object_foreign", `Cannot write ${key}: another file is there`, {
    hint: "Two writers share this prefix, or the object was changed. Nothing was overwritten.",
  });
}
