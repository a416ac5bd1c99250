import { expect, test } from "bun:test";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { startTestControl, startTestWorker } from "../control-fixture.ts";
import { createWorkerClient } from "./worker-client.ts";
import { tenantKey } from "../domain/keys.ts";
import { actAsMember } from "../worker-fixture.ts";
import { Rebalancer, imbalance } from "./rebalancer.ts";

test("evens workers out when they are far apart, the least used first, so many a minute", async () => {
  const running = await startTestControl(undefined, { settings: { rebalanceMovesPerMinute: 0 } });
  const full = await startTestWorker(running);
  const member = actAsMember(full);
  const ids: TenantId[] = [];
  const count = limits.rebalanceSpreadMin * 2;
  for (let i = 0; i < count; i++) {
    await running.cp("POST", "/tenants", { slug: `t-${i}` });
    ids.push((await running.control.resolver.resolve({ slug: `t-${i}` as never })).tenant);
  }
  const { table, runner, clock, log } = running.control;
  const loads = (): undefined => undefined;
  expect(imbalance(table, loads)).toBeUndefined();
  const empty = await startTestWorker(running);
  actAsMember(empty);
  expect(imbalance(table, loads)).toMatchObject({
    from: { incarnation: full.incarnation },
    to: { incarnation: empty.incarnation },
    tenants: count / 2,
  });
  // The later made the less used.
  member.listed = ids.map((tenant, i) => ({ tenant, epoch: table.get(tenantKey(tenant))!.epoch, idleMs: i }));
  const workers = createWorkerClient(running.control);
  const rebalancer = new Rebalancer({ table, runner, workers, loads, clock, log, movesPerMinute: 4 });
  const signal = AbortSignal.timeout(5_000);
  expect(await rebalancer.sweep(signal)).toBe(4);
  expect(await rebalancer.sweep(signal)).toBe(0);
  while (table.moving().size > 0) await Bun.sleep(5);
  expect([...table.tenantsOf(empty.incarnation)].toSorted()).toEqual(ids.slice(-4).toSorted());
  const fast = new Rebalancer({ table, runner, workers, loads, clock, log, movesPerMinute: 1_000 });
  await fast.sweep(signal);
  while (table.moving().size > 0) await Bun.sleep(5);
  expect(imbalance(table, loads)).toBeUndefined();
  expect(table.tenantsOf(empty.incarnation).size).toBe(count / 2);
  await full.kill();
  await empty.kill();
  await running.remove();
});
