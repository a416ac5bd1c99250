import type { Clock } from "../replication/clock.ts";
import type { OutputGate } from "../replication/gate.ts";
import type { LogWriter } from "../replication/log-writer.ts";
import type { Materialiser } from "../replication/materialise.ts";
import type { Background } from "./background.ts";
import type { OpenBounds } from "./descriptors.ts";
import type { IdleLru } from "./idle-lru.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";

export interface HostParts {
  clock: Clock;
  counts: {
    loads: number;
    created: number;
    restores: number;
    reused: number;
    releases: number;
    lost: number;
    seals: number;
  };
  bounds: OpenBounds;
  awake: IdleLru;
  readers: IdleLru;
  secondaries: IdleLru;
  writer: LogWriter;
  gate: OutputGate;
  materialiser: Materialiser;
  background: Background;
  prewarmed: { fetched: number; used: number; discarded: number };
  loaded: readonly LoadedTenant[];
}

/** Snapshot of all counters of one incarnation, by name; worker/replication/metrics.ts knows which of them go down, too. */
export function hostMetrics(parts: HostParts): Record<string, number> {
  const { counts, bounds, awake, readers, secondaries, writer, gate, materialiser, loaded } = parts;
  const { maintainer, condemned, truncator } = parts.background;
  const { counters: log } = writer;
  const { counters: files } = materialiser;
  return {
    ...lag(parts),
    tenants: loaded.length,
    tenants_max: bounds.tenants,
    tenant_loads: counts.loads,
    tenant_creates: counts.created,
    tenant_restores: counts.restores,
    tenant_reuses: counts.reused,
    tenant_releases: counts.releases,
    tenants_lost: counts.lost,
    seals: counts.seals,
    prewarms_fetched: parts.prewarmed.fetched,
    prewarms_used: parts.prewarmed.used,
    prewarms_discarded: parts.prewarmed.discarded,
    writers_awake: awake.size,
    writers_rested: awake.counters.closed,
    readers_open: readers.size,
    readers_closed: readers.counters.closed,
    secondaries_open: secondaries.size,
    secondaries_closed: secondaries.counters.closed,
    log_objects: log.objects,
    log_entries: log.entries,
    log_bytes: log.bytes,
    log_puts: log.puts,
    log_put_failures: log.retries,
    log_looks: log.looks,
    log_put_ms: log.putMs,
    log_outstanding_ms: writer.outstandingMs(),
    log_slots_deleted: truncator.counters.slots,
    gate_waits: gate.waits.count,
    gate_wait_ms: gate.waits.totalMs,
    gate_timeouts: gate.waits.timedOut,
    gate_held_back: gate.waits.heldBack,
    materialised_files: files.files,
    materialised_bytes: files.bytes,
    bundles: files.bundles,
    bundle_bytes: files.bundleBytes,
    snapshots: files.snapshots,
    pending_bytes: materialiser.pendingBytes,
    maintenance_visits: maintainer.counters.visits,
    maintenance_failures: maintainer.counters.failures,
    maintenance_waiting: maintainer.waiting,
    compactions: maintainer.counters.compactions,
    objects_condemned: condemned.counters.condemned,
    objects_deleted: condemned.counters.deleted,
  };
}

function lag({ clock, loaded }: HostParts): { pending_databases: number; replication_lag_ms: number } {
  const nowMs = clock.monotonicMs();
  let [pending, lagMs] = [0, 0];
  for (const tenant of loaded) {
    for (const { position } of tenant.databases.values()) {
      const since = position.pendingSinceMs;
      if (since === undefined) continue;
      pending++;
      lagMs = Math.max(lagMs, nowMs - since);
    }
  }
  return { pending_databases: pending, replication_lag_ms: lagMs };
}
