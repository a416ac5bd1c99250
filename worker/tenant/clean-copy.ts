import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { type DatabaseName, type TenantId, parseDatabaseName } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import {
  type Assignment,
  epochSchema,
  incarnationSchema,
  positionSchema,
} from "../../shared/protocol/internal.ts";
import { type ChainStats, DatabaseLedger } from "../replication/ledger.ts";
import type { RestoredDatabase } from "../replication/restore.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";

const MARK = "clean.json";
const FOLDER = "clean";

const chainSchema: z.ZodType<ChainStats> = z.object({
  files: z.number(),
  bytes: z.number(),
  snapshotBytes: z.number(),
  snapshotMs: z.number(),
  pageSize: z.number(),
});

const markSchema = z.object({
  boot: z.string(),
  incarnation: incarnationSchema,
  epoch: epochSchema,
  /** When maintenance of the prefix is due, by the wall clock. */
  maintainAtMs: z.number().optional(),
  databases: z.record(
    z.string(),
    positionSchema.extend({
      timestampMs: z.number(),
      size: z.number(),
      modifiedMs: z.number(),
      chain: chainSchema,
    }),
  ),
});
type Mark = z.infer<typeof markSchema>;

/** What a clean stop left here, at exactly the position that control was told last. */
export interface CleanCopy {
  databases: Map<DatabaseName, RestoredDatabase>;
  maintainAtMs: number | undefined;
}

/**
 * Local files that outlive a clean stop. They count only while the operating system has not been started again (nothing of them
 * was ever forced to the disk), and only at the very position and hash of control's last release: files that are behind or ahead
 * of object storage are dropped.
 */
export class CleanCopies {
  readonly #folder: string;

  /** @param root - shared by the incarnations of a worker, one after the other */
  constructor(root: string) {
    this.#folder = join(root, FOLDER);
  }

  /** Removes what nobody came back for. */
  sweep(nowMs: number): void {
    if (!existsSync(this.#folder)) return;
    for (const name of readdirSync(this.#folder)) {
      const path = join(this.#folder, name);
      const keptMs = statSync(join(path, MARK), { throwIfNoEntry: false })?.mtimeMs ?? 0;
      if (nowMs - keptMs > limits.cleanCopyKeepMs) rmSync(path, { recursive: true, force: true });
    }
  }

  /**
   * After a tenant has left with everything under its prefix, and its connections are closed.
   * @returns false when its files are not fit to be kept; then they are removed
   */
  keep(
    tenant: LoadedTenant,
    facts: { incarnation: Mark["incarnation"]; maintainAtMs: number | undefined },
  ): boolean {
    const boot = bootId();
    const databases: Mark["databases"] = {};
    for (const [name, { path, position, ledger, timestampMs }] of tenant.databases) {
      const { txid, entryHash } = ledger.materialised;
      if (txid === 0) continue;
      const file = statSync(path, { throwIfNoEntry: false });
      const whole = !position.pending && position.durable.txid === txid && entryHash !== "";
      if (!whole || file === undefined || existsSync(`${path}-wal`)) return drop(tenant.directory);
      const { size, mtimeMs: modifiedMs } = file;
      databases[name] = { txid, entryHash, timestampMs, size, modifiedMs, chain: ledger.chain };
    }
    if (boot === undefined || Object.keys(databases).length === 0) return drop(tenant.directory);
    const { incarnation, maintainAtMs } = facts;
    const mark: Mark = { boot, incarnation, epoch: tenant.epoch, databases };
    if (maintainAtMs !== undefined) mark.maintainAtMs = maintainAtMs;
    const kept = join(this.#folder, tenant.id);
    mkdirSync(this.#folder, { recursive: true });
    rmSync(kept, { recursive: true, force: true });
    writeFileSync(join(tenant.directory, MARK), JSON.stringify(mark));
    renameSync(tenant.directory, kept);
    return true;
  }

  /** Takes the copy into `directory`, if there is one of the very state that was assigned. Whatever else is here goes. */
  take(assignment: Assignment, directory: string): CleanCopy | undefined {
    const kept = join(this.#folder, assignment.tenant);
    rmSync(directory, { recursive: true, force: true });
    try {
      // One of several that ask gets it.
      renameSync(kept, directory);
    } catch {
      return undefined;
    }
    const mark = readMark(directory);
    // From here on a crash leaves files without a mark.
    rmSync(join(directory, MARK), { force: true });
    if (mark === undefined || !isCurrent(mark, assignment) || !isIntact(mark, directory)) {
      drop(directory);
      return undefined;
    }
    return { databases: databasesOf(mark, assignment.tenant, directory), maintainAtMs: mark.maintainAtMs };
  }
}

function drop(directory: string): false {
  rmSync(directory, { recursive: true, force: true });
  return false;
}

function readMark(directory: string): Mark | undefined {
  try {
    return markSchema.parse(JSON.parse(readFileSync(join(directory, MARK), "utf8")));
  } catch {
    return undefined;
  }
}

function isCurrent(mark: Mark, { base, tails, epoch }: Assignment): boolean {
  const names = Object.keys(base).filter((name) => (base[name]?.txid ?? 0) > 0);
  return (
    mark.boot === bootId() &&
    mark.epoch < epoch &&
    tails.length === 0 &&
    names.length === Object.keys(mark.databases).length &&
    names.every((name) => {
      const { txid, entryHash } = mark.databases[name] ?? { txid: -1, entryHash: "" };
      return txid === base[name]?.txid && entryHash !== "" && entryHash === base[name]?.entryHash;
    })
  );
}

function isIntact({ databases }: Mark, directory: string): boolean {
  return Object.entries(databases).every(([name, { size, modifiedMs }]) => {
    const file = statSync(join(directory, parseDatabaseName(name)), { throwIfNoEntry: false });
    const same = file?.size === size && file.mtimeMs === modifiedMs;
    return same && !existsSync(join(directory, `${name}-wal`));
  });
}

function databasesOf(
  { databases }: Mark,
  tenant: TenantId,
  directory: string,
): Map<DatabaseName, RestoredDatabase> {
  const found = new Map<DatabaseName, RestoredDatabase>();
  for (const [raw, { txid, entryHash, timestampMs, chain }] of Object.entries(databases)) {
    const name = parseDatabaseName(raw);
    const position = { txid, entryHash };
    const ledger = new DatabaseLedger(tenant, name, position, chain);
    found.set(name, { path: join(directory, name), position, timestampMs, ledger });
  }
  return found;
}

/** Changes whenever the operating system starts; undefined where there is no such thing, and then nothing is reused. */
function bootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}
