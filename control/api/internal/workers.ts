import { Hono } from "hono";
import { UserError } from "../../../shared/errors.ts";
import { type Incarnation, type TenantId, parseIncarnation, parseTenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import {
  type Assignment,
  type BeatResponse,
  type RegisterResponse,
  beatRequestSchema,
  exitRequestSchema,
  registerRequestSchema,
  reportRequestSchema,
} from "../../../shared/protocol/internal.ts";
import { assignmentOf } from "../../domain/assignment.ts";
import { drainWorker, exitWorker } from "../../domain/end-worker.ts";
import { tenantKey, workerKey } from "../../domain/keys.ts";
import type { TenantRecord } from "../../domain/records.ts";
import { registerWorker } from "../../domain/register-worker.ts";
import { applyReports, releaseTenants } from "../../domain/report-tenants.ts";
import { serves } from "../../domain/worker-states.ts";
import { admitIncarnation } from "../../liveness/admit-incarnation.ts";
import type { Control } from "../../service.ts";
import { readBody } from "../http.ts";

export function workersApp(control: Control): Hono {
  const { table, runner, leadership, clock } = control;
  const app = new Hono();

  app.post("/", async (context) => {
    const request = await readBody(context, registerRequestSchema);
    const term = leadership.require();
    const block = await term.block();
    const meta = runner.meta("worker");
    const incarnation = await runner.run(
      (view) => registerWorker(view, { meta, request, block }),
      term.signal,
    );
    // The lease first: a worker that never hears its number falls silent like any other.
    term.leases.welcome(incarnation);
    await admitIncarnation(control, incarnation, term.signal);
    const answer: RegisterResponse = {
      incarnation,
      clusterId: term.clusterId,
      leaseMs: limits.leaseMs,
      beatMs: limits.beatMs,
    };
    return context.json(answer);
  });

  app.post("/:incarnation/beats", async (context) => {
    const incarnation = parseIncarnation(context.req.param("incarnation"));
    const beat = await readBody(context, beatRequestSchema);
    const term = leadership.require();
    const worker = table.get(workerKey(incarnation));
    const answer: BeatResponse = {
      state: serves(worker) ? "live" : "dead",
      leaseMs: limits.leaseMs,
      nowMs: clock.nowMs(),
    };
    if (!serves(worker)) return context.json(answer);
    term.leases.renew(incarnation, beat);
    if (beat.draining && worker.state === "live") {
      const meta = runner.meta(`worker:${incarnation}`);
      await runner.run((view) => drainWorker(view, meta, incarnation), term.signal);
    }
    return context.json(answer);
  });

  app.get("/:incarnation/assignments/:tenant", async (context) => {
    const incarnation = parseIncarnation(context.req.param("incarnation"));
    const id = parseTenantId(context.req.param("tenant"));
    return context.json(await assignment(control, incarnation, id));
  });

  app.post("/:incarnation/reports", async (context) => {
    const incarnation = parseIncarnation(context.req.param("incarnation"));
    const { reports } = await readBody(context, reportRequestSchema);
    const term = leadership.require();
    for (const batch of batches(reports)) {
      const meta = runner.meta(`worker:${incarnation}`);
      await runner.run((view) => applyReports(view, meta, incarnation, batch), term.signal);
    }
    return context.json({});
  });

  app.post("/:incarnation/exit", async (context) => {
    const incarnation = parseIncarnation(context.req.param("incarnation"));
    const { endSeq, released } = await readBody(context, exitRequestSchema);
    const term = leadership.require();
    const meta = runner.meta(`worker:${incarnation}`);
    await runner.run((view) => exitWorker(view, meta, incarnation, endSeq), term.signal);
    term.leases.remove(incarnation);
    for (const batch of batches(released)) {
      const meta = runner.meta(`worker:${incarnation}`);
      await runner.run((view) => releaseTenants(view, meta, incarnation, batch), term.signal);
    }
    return context.json({});
  });

  return app;
}

/**
 * Read from the store itself, never from a copy that may lag: an owner of yesterday that is told it still owns a tenant would
 * acknowledge writes that the owner of today never sees.
 */
async function assignment(control: Control, incarnation: Incarnation, id: TenantId): Promise<Assignment> {
  const tenant = (await control.store.get(tenantKey(id)))?.value as TenantRecord | undefined;
  if (tenant === undefined) {
    throw new UserError("tenant_not_found", `Cannot find tenant ${id}: there is none of that id`);
  }
  if (tenant.owner?.incarnation !== incarnation) {
    throw new UserError(
      "not_owner",
      `Cannot assign tenant ${id}: incarnation ${incarnation} does not own it`,
    );
  }
  return assignmentOf(tenant, incarnation);
}

function* batches<T>(items: readonly T[]): Generator<T[]> {
  for (let i = 0; i < items.length; i += limits.tenantsPerTxn) yield items.slice(i, i + limits.tenantsPerTxn);
}
