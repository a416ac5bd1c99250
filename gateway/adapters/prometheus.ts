import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { GatewayGauges } from "../app.ts";
import { pathOf } from "../host.ts";
import type { Metrics } from "../runtime.ts";

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The gateway's numbers in Prometheus' text format. Labels are few and fixed: never a tenant, a path or an address. */
export function prometheus(gauges: GatewayGauges, others: () => Promise<unknown[]>): Metrics {
  const registry = new Registry();
  const registers = [registry];
  // The library takes labels apart at every count, which costs more than the request itself: it is told when somebody looks.
  const counted = new Map<
    string,
    { labels: { kind: string; method: string; status: number }; count: number }
  >();
  let known = 0;
  let unknown = 0;
  const requests: Counter = new Counter({
    name: "manybase_gateway_requests_total",
    help: "Requests by what they were for (tenant, operators, platform, unknown), method and status.",
    labelNames: ["kind", "method", "status"],
    registers,
    collect: () => {
      for (const one of counted.values()) {
        requests.inc(one.labels, one.count);
        one.count = 0;
      }
    },
  });
  const upstream = new Histogram({
    name: "manybase_gateway_upstream_seconds",
    help: "From sending a request to the worker until its answer's head.",
    buckets: SECONDS,
    registers,
  });
  const held = new Histogram({
    name: "manybase_gateway_held_seconds",
    help: "How long requests waited for a route, a load or a takeover; only those that did.",
    buckets: SECONDS,
    registers,
  });
  const retries = new Counter({
    name: "manybase_gateway_retries_total",
    help: "Tries beyond a request's first.",
    registers,
  });
  const lookups: Counter = new Counter({
    name: "manybase_gateway_route_lookups_total",
    help: "Tenants' requests by whether the table had a route with a worker.",
    labelNames: ["known"],
    registers,
    collect: () => {
      if (known > 0) lookups.inc({ known: "true" }, known);
      if (unknown > 0) lookups.inc({ known: "false" }, unknown);
      known = 0;
      unknown = 0;
    },
  });
  const measured: [name: string, help: string, read: () => number, aggregator: "sum" | "min"][] = [
    ["holding", "Requests that wait for a route, a load or a takeover now.", gauges.holding, "sum"],
    ["waiting", "Requests that wait for their turn now.", gauges.waiting, "sum"],
    ["routes", "Routes in the table.", gauges.routes, "min"],
    ["following", "1 while control's route stream is open.", () => Number(gauges.following()), "min"],
  ];
  for (const [name, help, read, aggregator] of measured) {
    const gauge: Gauge = new Gauge({
      name: `manybase_gateway_${name}`,
      help,
      aggregator,
      collect: () => gauge.set(read()),
      registers: [],
    });
    registry.registerMetric(gauge);
  }
  return {
    observe(exchange, request, status) {
      const method = METHODS.has(request.method) ? request.method : "other";
      const { kind } = exchange;
      const name = `${kind} ${method} ${status}`;
      const one = counted.get(name);
      if (one === undefined) counted.set(name, { labels: { kind, method, status }, count: 1 });
      else one.count += 1;
      if (exchange.retries > 0) retries.inc(exchange.retries);
      if (kind === "tenant") {
        if (exchange.routeKnown) known += 1;
        else unknown += 1;
      }
      if (exchange.upstreamMs !== undefined) upstream.observe(exchange.upstreamMs / 1000);
      if (exchange.heldMs > 0) held.observe(exchange.heldMs / 1000);
    },
    collect: () => registry.getMetricsAsJSON(),
    async answer(request) {
      if (pathOf(request).pathname !== "/metrics") return new Response("Not found\n", { status: 404 });
      const headers = { "content-type": registry.contentType };
      const all = [await registry.getMetricsAsJSON(), ...((await others()) as object[])];
      return new Response(await AggregatorRegistry.aggregate(all).metrics(), { headers });
    },
  };
}

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
