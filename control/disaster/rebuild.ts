import {
  type Epoch,
  type Incarnation,
  type LogSeq,
  type Slug,
  type TenantId,
  type Txid,
} from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Position, Positions, Tail } from "../../shared/protocol/internal.ts";
import {
  auditKey,
  BLOCKS,
  CLUSTER,
  domainKey,
  metadataRowKey,
  pinRecordKey,
  sealKey,
  slugKey,
  tenantKey,
  workerKey,
} from "../domain/keys.ts";
import type { MetadataRow, PinRecord, TenantRecord, WorkerRecord } from "../domain/records.ts";
import { raise } from "../domain/tenant-parts.ts";
import { type KeptTenant, type TenantMetadata, digestOf } from "./metadata.ts";
import type { ControlSnapshot } from "./snapshot.ts";

export interface FoundLog {
  incarnation: Incarnation;
  endSeq: LogSeq;
  /** Nobody needs it; it was not read. */
  retired: boolean;
}

export interface FoundTenant {
  /** The newest record, and the names of all. */
  metadata?: TenantMetadata;
  /** Block and revision of the newest record. */
  written?: { block: number; revision: number };
  keys: string[];
}

/** What unsealed-then-sealed logs hold of a tenant. */
export interface LoggedTenant {
  tails: Tail[];
  epochMax: number;
  encrypted: boolean;
}

/** A pin under a tenant's prefix: what a branch of it reads there. */
export interface FoundPin {
  parent: TenantId;
  branch: TenantId;
  databases: Record<string, Txid>;
}

/** What a restore gave up of a tenant (`--accept-loss`). */
export interface TenantLoss {
  /** Claimed for that restore: what was written under earlier ones knows positions that are void. */
  block: number;
  base: Positions;
  /** It cannot be loaded as it is. */
  suspend: boolean;
}

export interface RebuildInput {
  snapshot: ControlSnapshot | undefined;
  cluster: string;
  block: number;
  /** Numbers of that block that are given away. */
  used: number;
  tenants: ReadonlyMap<TenantId, FoundTenant>;
  pins: readonly FoundPin[];
  logged: ReadonlyMap<TenantId, LoggedTenant>;
  logs: readonly FoundLog[];
  losses?: ReadonlyMap<TenantId, TenantLoss>;
  at: string;
  atMs: number;
}

export interface Rebuilt {
  rows: [key: string, value: unknown][];
  tenants: TenantRecord[];
  /** Tenants of which only data, or a branch's pin, was found: suspended, under a slug made from their id. */
  orphans: TenantId[];
  /** Two tenants claimed one slug: the one with the older record got one made from its id. */
  renamed: { tenant: TenantId; slug: string }[];
}

/** Rebuilt from what the object store holds, so a copy of them is worth nothing. */
const DERIVED = /^(tenant|slug|worker|nonce|seal|metadata|pin|replica)\/|^blocks$|^cluster$/;

/**
 * Control's state from a snapshot (if there is one), tenants' metadata and the logs. Of a tenant's two records the newer counts, by
 * (block, revision). Nobody owns anything; tails are what the logs hold, never what an old state says; epochs are above all known.
 */
export function rebuild(input: RebuildInput): Rebuilt {
  const { snapshot, logged, logs, at } = input;
  const rows = new Map<string, unknown>();
  for (const [key, value] of snapshot?.rows ?? []) if (!DERIVED.test(key)) rows.set(key, value);
  const known = new Map(
    (snapshot?.rows ?? []).filter(([key]) => key.startsWith("tenant/")) as [string, TenantRecord][],
  );
  const workers = new Map(
    (snapshot?.rows ?? []).filter(([key]) => key.startsWith("worker/")) as [string, WorkerRecord][],
  );
  const ids = new Set<TenantId>([
    ...input.tenants.keys(),
    ...[...known.values()].map(({ id }) => id),
    ...logged.keys(),
    ...input.pins.map(({ branch }) => branch),
  ]);
  const pins = new Map(input.pins.map((pin) => [pin.branch, pin]));
  const isEncrypted = (id: TenantId): boolean =>
    (input.tenants.get(id)?.metadata?.kept ?? known.get(tenantKey(id)))?.encrypted === true;
  const orphans: TenantId[] = [];
  const built: { record: TenantRecord; written: [number, number] }[] = [];
  for (const id of [...ids].sort()) {
    const found = input.tenants.get(id);
    const old = known.get(tenantKey(id));
    const newer = found?.written !== undefined && isNewer(found.written, snapshot);
    if (found?.metadata !== undefined && found.metadata.kept === undefined) {
      // Purged: it cannot have come back under this id.
      rows.set(metadataRowKey(id), { digest: "", keys: found.keys, gone: at } satisfies MetadataRow);
      continue;
    }
    const { metadata } = found ?? {};
    const kept: KeptTenant | undefined = newer || old === undefined ? (metadata?.kept ?? old) : old;
    const tail = logged.get(id);
    if (kept === undefined) orphans.push(id);
    const pin = pins.get(id);
    const made = kept ?? orphanOf(id, at, tail, pin, pin !== undefined && isEncrypted(pin.parent));
    const record = tenantOf(input, made, old, found, tail);
    const written = newer && found?.written !== undefined ? found.written : snapshot;
    built.push({ record, written: [written?.block ?? 0, written?.revision ?? 0] });
    if (found !== undefined && found.keys.length > 0) {
      const digest = metadata?.kept === undefined ? "" : digestOf(metadata.kept);
      rows.set(metadataRowKey(id), { digest, keys: found.keys } satisfies MetadataRow);
    }
  }
  const renamed: Rebuilt["renamed"] = [];
  const tenants: TenantRecord[] = [];
  for (const { record } of built.toSorted(
    (a, b) => b.written[0] - a.written[0] || b.written[1] - a.written[1],
  )) {
    const taken = rows.has(slugKey(record.slug));
    if (taken) renamed.push({ tenant: record.id, slug: record.slug });
    const next = taken ? { ...record, slug: recovered(record.id) } : record;
    rows.set(slugKey(next.slug), next.id);
    rows.set(tenantKey(next.id), next);
    for (const domain of next.domains ?? []) {
      // It was verified, or the tenant would not have it; the token served for nothing else.
      const key = domainKey(domain);
      if (!rows.has(key)) rows.set(key, { domain, tenant: next.id, token: "", created: at, verified: at });
    }
    tenants.push(next);
  }
  for (const { branch, parent } of input.pins) {
    const read = rows.get(tenantKey(branch)) as TenantRecord | undefined;
    if (read?.origin?.tenant === parent) continue;
    // Detached or purged since, and its pin was about to go.
    rows.set(pinRecordKey(branch), { branch, parent, atMs: input.atMs, removing: true } satisfies PinRecord);
  }
  for (const { incarnation, endSeq, retired } of logs) {
    const before = workers.get(workerKey(incarnation));
    const { drain: _, ...worker } = before ?? {
      incarnation,
      url: "http://gone.invalid",
      nonce: "",
      version: "unknown",
      registered: at,
    };
    rows.set(workerKey(incarnation), { ...worker, state: "sealed", changed: at });
    rows.set(sealKey(incarnation), { endSeq, ...(retired ? { cleared: at } : {}) });
  }
  rows.set(CLUSTER, { id: input.cluster, created: at });
  rows.set(BLOCKS, { block: input.block, used: input.used });
  rows.set(auditKey(input.atMs, "restore"), {
    at,
    who: "control",
    action: "control.restore",
    subject: input.cluster,
    details: { tenants: tenants.length, logs: logs.length, block: input.block, orphans: orphans.length },
  });
  return { rows: [...rows], tenants, orphans, renamed };
}

function tenantOf(
  input: RebuildInput,
  kept: KeptTenant,
  old: TenantRecord | undefined,
  found: FoundTenant | undefined,
  tail: LoggedTenant | undefined,
): TenantRecord {
  const metadata = found?.metadata;
  const loss = input.losses?.get(kept.id);
  const counts = (block: number): boolean => block >= (loss?.block ?? 0);
  const { owner: _o, transfer: _t, ...rest } = kept as TenantRecord;
  const epoch =
    Math.max(old?.epoch ?? 0, metadata?.epoch ?? 0, tail?.epochMax ?? 0) + limits.restoreEpochMargin;
  // Below a loss positions were given away anew: what was known of them before is not true any more.
  const isSince = { metadata: counts(found?.written?.block ?? 0), old: counts(input.snapshot?.block ?? 0) };
  const begun = Object.entries(rest.origin?.databases ?? {}).map(([name, txid]): [string, Position] => [
    name,
    { txid, entryHash: "" },
  ]);
  const base: Positions = [
    Object.fromEntries(begun),
    loss?.base,
    isSince.metadata ? metadata?.base : undefined,
    isSince.old ? old?.base : undefined,
  ].reduce<Positions>((reached, one) => raise(reached, one ?? {}), {});
  const suspended = kept.suspended || (loss?.suspend === true && !isSince.metadata && !isSince.old);
  const lasting = rest.state === "deleted" || rest.state === "archived";
  return {
    ...rest,
    state: lasting ? rest.state : "evicted",
    suspended,
    epoch: epoch as Epoch,
    base,
    tails: tail?.tails ?? [],
    virgin: kept.virgin && (old?.virgin ?? true) && tail === undefined && loss === undefined,
    updated: input.at,
  };
}

function orphanOf(
  id: TenantId,
  at: string,
  tail: LoggedTenant | undefined,
  pin: FoundPin | undefined,
  encrypted: boolean,
): KeptTenant {
  const origin =
    pin === undefined ? {} : { origin: { tenant: pin.parent, encrypted, databases: pin.databases } };
  return {
    id,
    slug: recovered(id),
    state: "evicted",
    suspended: true,
    durability: "durable",
    virgin: false,
    ...(tail?.encrypted === true || encrypted ? { encrypted: true as const } : {}),
    ...origin,
    created: at,
  };
}

const recovered = (id: TenantId): Slug => `recovered-${id}` as Slug;

function isNewer(
  written: { block: number; revision: number },
  snapshot: ControlSnapshot | undefined,
): boolean {
  if (snapshot === undefined) return true;
  return (
    written.block > snapshot.block ||
    (written.block === snapshot.block && written.revision > snapshot.revision)
  );
}
