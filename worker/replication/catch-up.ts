import { closeSync, ftruncateSync, openSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { SystemError } from "../../shared/errors.ts";
import { type DatabaseName, type TenantId, parseDatabaseName } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeLtx } from "../../shared/ltx/decode.ts";
import type { LtxFile } from "../../shared/ltx/ltx.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { Assignment, Position } from "../../shared/protocol/internal.ts";
import { type ChainFile, isSnapshot, listChains } from "./chain.ts";
import { asDiskFull } from "./disk-full.ts";
import { fetchObject } from "./fetch-object.ts";
import { DatabaseLedger, emptyChain } from "./ledger.ts";
import { parallel } from "./parallel.ts";
import type { RestoredDatabase, RestoredTenant } from "./restore.ts";

export interface CatchUpOptions {
  store: ObjectStore;
  /** Everything of the tenant lies under its prefix up to `base`: a release was heard, and no log holds more. */
  assignment: Assignment;
  /** Files of an earlier restore of the same tenant, closed. They are changed in place; after an error they are worthless. */
  copy: RestoredTenant;
  directory: string;
  signal: AbortSignal;
}

interface Step {
  name: DatabaseName;
  base: Position;
  before: RestoredDatabase | undefined;
  files: ChainFile[];
}

/**
 * Brings an earlier copy to exactly `base` by what came under the prefix since. What is under the prefix up to a TXID never changes,
 * so a copy at TXID n and the files from n + 1 on make the same database as a restore.
 *
 * @throws SystemError `chain_gap` or `object_foreign` when they do not connect, or do not end at `base`; `overloaded` when the copy is
 *   too far behind; what a GET throws. The caller restores anew.
 */
export async function catchUp(options: CatchUpOptions): Promise<RestoredTenant> {
  const { store, assignment, copy, signal } = options;
  const { tenant, base } = assignment;
  const names = Object.keys(base)
    .filter((name) => (base[name]?.txid ?? 0) > 0)
    .map((name) => parseDatabaseName(name));
  const unknown = [...copy.databases.keys()].find((name) => !names.includes(name));
  if (unknown !== undefined) throw otherEnd(tenant, unknown);
  const behind = names.some((name) => copy.databases.get(name)?.position.txid !== base[name]?.txid);
  const chains = behind ? await listChains(store, tenant, { signal }) : copy.chains;
  const steps = names.map((name): Step => {
    const before = copy.databases.get(name);
    const at = base[name] as Position;
    return { name, base: at, before, files: planStep(tenant, name, before, at, chains.get(name) ?? []) };
  });
  const bytes = steps.flatMap(({ files }) => files).reduce((sum, { size }) => sum + size, 0);
  if (bytes > limits.catchUpBytesMax) {
    throw new SystemError("overloaded", `Cannot catch up with tenant ${tenant}: ${bytes} bytes are missing`);
  }
  const databases = new Map<DatabaseName, RestoredDatabase>();
  await Promise.all(steps.map(async (step) => databases.set(step.name, await takeStep(options, step))));
  return { databases, neededTails: [], chains };
}

/** The files that lead from the copy to exactly the base: at each step the one that reaches furthest of those that connect. */
function planStep(
  tenant: TenantId,
  name: DatabaseName,
  before: RestoredDatabase | undefined,
  base: Position,
  chain: readonly ChainFile[],
): ChainFile[] {
  let reached: number = before?.position.txid ?? 0;
  const hash = before?.position.entryHash ?? "";
  if (reached === base.txid && hash !== "" && base.entryHash !== "" && hash !== base.entryHash) {
    throw otherEnd(tenant, name);
  }
  const plan: ChainFile[] = [];
  while (reached < base.txid) {
    const next = chain
      .filter(({ minTxid, maxTxid }) => minTxid <= reached + 1 && maxTxid > reached)
      // A snapshot holds all that is here already: only when nothing smaller leads on.
      .toSorted((a, b) => Number(isSnapshot(a)) - Number(isSnapshot(b)) || b.maxTxid - a.maxTxid)[0];
    if (next === undefined) {
      throw new SystemError("chain_gap", `Cannot catch up with ${name}: nothing follows TXID ${reached}`);
    }
    plan.push(next);
    reached = next.maxTxid;
  }
  if (reached !== base.txid) throw otherEnd(tenant, name);
  return plan;
}

async function takeStep(
  { store, assignment, directory, signal }: CatchUpOptions,
  { name, base, before, files }: Step,
): Promise<RestoredDatabase> {
  const path = join(directory, name);
  const chain = before === undefined ? emptyChain() : { ...before.ledger.chain };
  let timestampMs = before?.timestampMs ?? 0;
  const bodies = await parallel(files, limits.restoreParallelGets, ({ key, size }) =>
    fetchObject(store, key, size, signal),
  );
  for (const [i, body] of bodies.entries()) {
    const file = files[i] as ChainFile;
    const ltx = decodeLtx(body);
    if (ltx.header.minTxid !== file.minTxid || ltx.header.maxTxid !== file.maxTxid) {
      throw new SystemError("object_foreign", `Cannot catch up from ${file.key}: it holds other TXIDs`);
    }
    const first = before === undefined && i === 0;
    if (!first && ltx.header.pageSize !== chain.pageSize) {
      throw new SystemError("object_corrupt", `Cannot catch up from ${file.key}: its page size differs`);
    }
    apply(path, ltx, first);
    chain.pageSize = ltx.header.pageSize;
    timestampMs = Math.max(timestampMs, ltx.header.timestampMs);
    if (file.minTxid === 1) {
      Object.assign(chain, { files: 0, bytes: 0, snapshotBytes: file.size, snapshotMs: file.modifiedMs });
    } else {
      chain.files++;
      chain.bytes += file.size;
    }
  }
  const position: Position = { txid: base.txid, entryHash: base.entryHash };
  return {
    path,
    position,
    timestampMs,
    ledger: new DatabaseLedger(assignment.tenant, name, position, chain),
  };
}

function apply(path: string, { header, pages }: LtxFile, first: boolean): void {
  const fd = openSync(path, first ? "w" : "r+");
  try {
    for (const [pgno, data] of pages) {
      const at = (pgno - 1) * header.pageSize;
      for (let done = 0; done < data.length;)
        done += writeSync(fd, data, done, data.length - done, at + done);
    }
    ftruncateSync(fd, header.commit * header.pageSize);
  } catch (cause) {
    throw asDiskFull(cause, "catch up with a tenant");
  } finally {
    closeSync(fd);
  }
}

/** Of the database files; 0 for one that is not there. */
export function bytesOf({ databases }: RestoredTenant): number {
  let bytes = 0;
  for (const { path } of databases.values()) bytes += statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return bytes;
}

const otherEnd = (tenant: TenantId, name: DatabaseName): SystemError =>
  new SystemError(
    "object_foreign",
    `Cannot catch up with ${name} of tenant ${tenant}: the copy is of another history`,
  );
