import { expect, test } from "bun:test";
import { countedStore } from "../objects/counted.ts";
import { TestWorld, putNote } from "../tenant/test-world.ts";
import type { TenantHost } from "../tenant/host.ts";
import { workerMetrics } from "./metrics.ts";

test("workerMetrics tells lag, flushes, requests by kind, gate waits, seals and restores, and names no tenant", async () => {
  const world = await TestWorld.open();
  try {
    let live: TenantHost | undefined;
    const store = countedStore(world.store);
    const metrics = workerMetrics(() => live?.metrics(), store);
    expect(await metrics.text()).toContain("manybase_worker_flush_seconds_count 0");
    const dead = world.host();
    const id = world.create(dead);
    await putNote(await world.at(dead, id), "one");
    dead.abandon();
    const host = world.host({ store, observer: metrics.observer });
    live = host;
    await world.takeOver(dead, host);
    const tenant = await world.at(host, id);
    for (let i = 0; i < 3; i++) await putNote(tenant, `${i}`);
    await host.stop();
    const text = await metrics.text();
    const value = (name: string): number =>
      Number(
        text
          .split("\n")
          .find((line) => line.startsWith(`${name} `))
          ?.split(" ")[1],
      );
    expect(value("manybase_worker_flush_seconds_count")).toBeGreaterThanOrEqual(4);
    expect(value("manybase_worker_flush_bytes_sum")).toBeGreaterThan(1_000);
    expect(value("manybase_worker_gate_wait_seconds_count")).toBe(3);
    expect(value("manybase_worker_restore_seconds_count")).toBe(1);
    expect(value("manybase_worker_seals_total")).toBe(1);
    expect(value("manybase_worker_tenant_restores_total")).toBe(1);
    expect(value("manybase_worker_replication_lag_ms")).toBe(0);
    for (const [kind, purpose] of [
      ["put", "log"],
      ["put", "litestream"],
      ["get", "log"],
      ["list", "litestream"],
    ]) {
      expect(
        value(`manybase_worker_store_requests_total{kind="${kind}",purpose="${purpose}"}`),
      ).toBeGreaterThan(0);
    }
    // Every line is a comment or a sample that Prometheus reads.
    for (const line of text.split("\n")) {
      expect(line).toMatch(/^$|^# (?:HELP|TYPE) \S+ |^[a-z_]+(?:\{[^}]*\})? [-+.0-9eInf]+$/);
    }
    expect(text).not.toContain(id);
  } finally {
    world.close();
  }
});
