import { Counter, Gauge, type GaugeConfiguration, Registry } from "prom-client";
import { PREFIXES } from "../../domain/keys.ts";
import type { TenantRecord } from "../../domain/records.ts";
import { serves } from "../../domain/worker-states.ts";
import type { Control } from "../../service.ts";

/** Prometheus metrics of one replica; gauges are read when they are asked for. */
export function metricsOf(control: Control): Registry {
  const registry = new Registry();
  gaugesOfState(control, registry);
  gaugesOfWorkers(control, registry);
  countTransfers(control, registry);
  return registry;
}

function gaugesOfState({ table, feed, leadership, scaling }: Control, registry: Registry): void {
  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    add(registry, {
      name: `manybase_${name}`,
      help,
      collect() {
        const value = read();
        this.reset();
        if (value !== undefined) this.set(value);
      },
    });
  };
  gauge("control_revision", "Revision of the state that this replica has", () => table.revision);
  gauge("control_leading", "1 on the leading replica", () => (leadership.current === undefined ? 0 : 1));
  gauge("control_audit_entries", "Entries in the audit log", () => table.auditEntries);
  gauge("control_route_readers", "Open streams of routes", () => feed.readers);
  gauge("control_resident_bytes", "Memory of this process", () => process.memoryUsage.rss());
  gauge("tenants_moving", "Tenants on their way to another worker or to nobody", () => table.moving().size);
  gauge(
    "workers_wanted",
    "How many workers capacity and load call for (leader)",
    () => scaling.current?.workers,
  );
  add(registry, {
    name: "manybase_tenants",
    help: "Tenants by state",
    labelNames: ["state"],
    collect() {
      this.reset();
      for (const [state, count] of table.states()) this.set({ state }, count);
    },
  });
}

function gaugesOfWorkers({ table, leadership }: Control, registry: Registry): void {
  add(registry, {
    name: "manybase_workers",
    help: "Workers by state",
    labelNames: ["state"],
    collect() {
      this.reset();
      for (const { state, removed } of table.workers()) if (removed === undefined) this.inc({ state });
    },
  });
  const byWorker = (name: string, help: string, read: (of: WorkerFacts) => number | undefined): void => {
    add(registry, {
      name: `manybase_worker_${name}`,
      help,
      labelNames: ["incarnation"],
      collect() {
        this.reset();
        for (const worker of table.workers()) {
          if (!serves(worker)) continue;
          const { incarnation } = worker;
          const load = leadership.current?.leases.last(incarnation);
          const value = read({ owned: table.tenantsOf(incarnation).size, load });
          if (value !== undefined) this.set({ incarnation: String(incarnation) }, value);
        }
      },
    });
  };
  byWorker("tenants_owned", "Tenants that control has given to it", ({ owned }) => owned);
  byWorker("tenants_loaded", "Tenants that it has loaded", ({ load }) => load?.tenants);
  byWorker("resident_bytes", "Its memory", ({ load }) => load?.rssBytes);
  byWorker("busy_ratio", "Share of a core that it uses", ({ load }) => load?.busyRatio);
}

function add<Label extends string>(registry: Registry, gauge: GaugeConfiguration<Label>): void {
  registry.registerMetric(new Gauge({ ...gauge, registers: [] }));
}

interface WorkerFacts {
  owned: number;
  load: { tenants: number; rssBytes: number; busyRatio?: number | undefined } | undefined;
}

function countTransfers({ table }: Control, registry: Registry): void {
  const ended = new Counter({
    name: "manybase_transfers_total",
    help: "Tenants that left their worker or were given back, since this replica started",
    labelNames: ["why", "result"],
    registers: [registry],
  });
  table.listen((event) => {
    if ("reset" in event) return;
    for (const { key, before, after } of event.applied) {
      if (!key.startsWith(PREFIXES.tenant)) continue;
      const [old, now] = [before as TenantRecord | undefined, after as TenantRecord | undefined];
      if (old?.transfer === undefined || now?.transfer?.id === old.transfer.id) continue;
      const there = now?.owner?.incarnation === old.transfer.to;
      ended.inc({ why: old.transfer.why, result: there ? "done" : "given_back" });
    }
  });
}
