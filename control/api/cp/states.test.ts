/** Each state of a tenant's life as the API shows it. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { z } from "zod";
import type { TenantId } from "../../../shared/ids.ts";
import { routeSchema, tenantStateSchema } from "../../../shared/protocol/internal.ts";
import {
  type TestControl,
  type TestWorker,
  startTestControl,
  startTestWorker,
} from "../../control-fixture.ts";
import { tenantKey } from "../../domain/keys.ts";
import { markUse } from "../../domain/mark-use.ts";
import { actAsMember } from "../../worker-fixture.ts";

let running: TestControl;
const workers: TestWorker[] = [];
beforeEach(async () => {
  running = await startTestControl();
});
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.kill();
  await running.remove();
});

const start = async (): Promise<TestWorker> => {
  const worker = await startTestWorker(running);
  actAsMember(worker);
  workers.push(worker);
  return worker;
};
const resolve = () => running.gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug: "acme" });
const report = ({ incarnation }: TestWorker, tenant: TenantId) =>
  running.member.call("POST", `/v1/workers/${incarnation}/reports`, z.object({}), {
    reports: [{ tenant, epoch: running.control.table.get(tenantKey(tenant))?.epoch, kind: "serving" }],
  });

test("created, deploying, active, idle, active, assigning, evicted, archived, deleted; suspended beside them", async () => {
  const seen: unknown[] = [];
  const now = async (): Promise<unknown> => (await running.cp("GET", "/tenants/acme")).body["state"];
  const becomes = async (state: string): Promise<void> => {
    while ((await now()) !== state) await Bun.sleep(5);
    seen.push(state);
  };
  const ask = async (action: string): Promise<void> => {
    const { status } = await running.cp("POST", `/tenants/acme/${action}`);
    expect([action, status < 300]).toEqual([action, true]);
  };
  const { body } = await running.cp("POST", "/tenants", { slug: "acme" });
  const id = body["id"] as TenantId;
  seen.push(body["state"]);
  const first = await start();
  await resolve();
  await becomes("deploying");
  await report(first, id);
  await becomes("active");
  const { runner, table } = running.control;
  const { epoch } = table.get(tenantKey(id))!;
  const meta = runner.meta("test");
  await runner.run((view) => markUse(view, meta, first.incarnation, [{ tenant: id, epoch, state: "idle" }]));
  await becomes("idle");
  await first.kill();
  await becomes("assigning");
  const second = await start();
  await resolve();
  await becomes("deploying");
  await report(second, id);
  await ask("evict");
  await becomes("evicted");
  await ask("suspend");
  expect((await running.cp("GET", "/tenants/acme")).body).toMatchObject({
    suspended: true,
    state: "evicted",
  });
  await ask("resume");
  await ask("archive");
  await becomes("archived");
  expect((await running.cp("DELETE", "/tenants/acme")).status).toBe(200);
  await becomes("deleted");
  expect(new Set(seen)).toEqual(new Set(tenantStateSchema.options));
});
