import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { CountedStore } from "../objects/counted.ts";
import type { ReplicationObserver } from "./observer.ts";

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const BYTES = [1_000, 4_000, 16_000, 64_000, 250_000, 1_000_000, 4_000_000, 8_400_000];

/** Names of `TenantHost.metrics()` that go down, too; all others only count up. */
const GAUGES = new Map([
  ["tenants", "Tenants that are loaded."],
  ["tenants_max", "Tenants that may be loaded, by limits and descriptors."],
  ["writers_awake", "Tenants whose data.db is not at rest."],
  ["readers_open", "Read-only connections that are open."],
  ["secondaries_open", "Databases beside data.db that are open."],
  ["log_outstanding_ms", "How long the log object that is under way has been so."],
  ["pending_bytes", "Durable entries in memory that are not under their prefix yet."],
  ["pending_databases", "Databases with commits that are not durable."],
  ["replication_lag_ms", "Age of the oldest commit that is not durable."],
  ["maintenance_waiting", "Tenants whose prefix has maintenance due at some time."],
]);

export interface WorkerMetrics {
  observer: ReplicationObserver;
  /** The Prometheus text. Never a tenant's name. */
  text(): Promise<string>;
}

/**
 * All numbers of a worker in Prometheus' format.
 * @param live - counters of the incarnation that is live now, undefined while there is none @param store - counts requests
 */
export function workerMetrics(
  live: () => Record<string, number> | undefined,
  store: Pick<CountedStore, "counts">,
): WorkerMetrics {
  const registry = new Registry();
  const registers = [registry];
  const histogram = (name: string, help: string, buckets: number[]): Histogram =>
    new Histogram({ name: `manybase_worker_${name}`, help, buckets, registers });
  const flushBytes = histogram("flush_bytes", "Size of log objects.", BYTES);
  const flushEntries = histogram(
    "flush_entries",
    "Entries of log objects.",
    [0, 1, 2, 5, 10, 25, 100, 1_000],
  );
  const flushSeconds = histogram(
    "flush_seconds",
    "From the first PUT of a log object until it is durable.",
    SECONDS,
  );
  const gateSeconds = histogram(
    "gate_wait_seconds",
    "How long answers waited to be durable; only those that did.",
    SECONDS,
  );
  const restoreSeconds = histogram("restore_seconds", "Loads of tenants from object storage.", SECONDS);
  requestsOf(store, registry);
  return {
    observer: {
      flushed(bytes, entries, tookMs) {
        flushBytes.observe(bytes);
        flushEntries.observe(entries);
        flushSeconds.observe(tookMs / 1_000);
      },
      gateWaited: (ms) => gateSeconds.observe(ms / 1_000),
      restored: (ms) => restoreSeconds.observe(ms / 1_000),
    },
    async text() {
      return (await registry.metrics()) + countersText(live() ?? {});
    },
  };
}

/** Of the live incarnation: a counter that starts again at 0 is what Prometheus expects of a new process, too. */
function countersText(values: Record<string, number>): string {
  let text = "";
  for (const [name, value] of Object.entries(values)) {
    const help = GAUGES.get(name);
    const full = help === undefined ? `manybase_worker_${name}_total` : `manybase_worker_${name}`;
    if (help !== undefined) text += `\n# HELP ${full} ${help}`;
    text += `\n# TYPE ${full} ${help === undefined ? "counter" : "gauge"}\n${full} ${value}\n`;
  }
  return text;
}

function requestsOf(store: Pick<CountedStore, "counts">, registry: Registry): void {
  const labelNames = ["kind", "purpose"];
  const counter = (
    name: string,
    help: string,
    read: (line: ReturnType<CountedStore["counts"]>[number]) => number,
  ): void => {
    const metric: Counter = new Counter({
      name: `manybase_worker_store_${name}`,
      help,
      labelNames,
      registers: [],
      collect() {
        metric.reset();
        for (const line of store.counts()) {
          const value = read(line);
          if (value > 0) metric.inc({ kind: line.kind, purpose: line.purpose }, value);
        }
      },
    });
    registry.registerMetric(metric);
  };
  counter("requests_total", "Requests to object storage.", ({ requests }) => requests);
  counter("sent_bytes_total", "Bodies sent.", ({ bytesSent }) => bytesSent);
  counter("received_bytes_total", "Bodies received.", ({ bytesReceived }) => bytesReceived);
  registry.registerMetric(
    new Gauge({
      name: "manybase_worker_resident_bytes",
      help: "Memory of this process.",
      registers: [],
      collect() {
        this.set(process.memoryUsage.rss());
      },
    }),
  );
}
