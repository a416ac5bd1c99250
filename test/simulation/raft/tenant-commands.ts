/** The domain's own commands, many to a transaction where a million of them would take too long. */
import type { Clock } from "../../../control/clock.ts";
import { digestOf, keptOf } from "../../../control/disaster/metadata.ts";
import type { Meta } from "../../../control/domain/audit.ts";
import { assignTenant } from "../../../control/domain/assign-tenant.ts";
import { intendBlock } from "../../../control/domain/blocks.ts";
import { createTenant } from "../../../control/domain/create-tenant.ts";
import { metadataRowKey, tenantKey } from "../../../control/domain/keys.ts";
import type { TenantRecord } from "../../../control/domain/records.ts";
import { registerWorker } from "../../../control/domain/register-worker.ts";
import type { Runner } from "../../../control/domain/runner.ts";
import { beginTransfer, finishTransfer } from "../../../control/domain/transfer-tenant.ts";
import { type Command, type Draft, put } from "../../../control/domain/view.ts";
import type { Incarnation, Slug, TenantId, Txid } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { metadataKey } from "../../../shared/objects/layout.ts";
import type { Positions } from "../../../shared/protocol/internal.ts";

/** Slug, record, audit entry, and the note of its metadata object. */
const OPS_PER_TENANT = 4;
export const TENANTS_PER_TXN = Math.floor(limits.txnOperationsMax / OPS_PER_TENANT);
const BLOCK = 1;

const BASE: Positions = { "data.db": { txid: 1 as Txid, entryHash: "0".repeat(16) } };

export interface NewTenant {
  id: TenantId;
  slug: Slug;
}

/** Those of them that are not there yet, so it may be run again. */
export function createAll(wanted: readonly NewTenant[], meta: () => Meta): Command<void> {
  return (view) => {
    const all: Draft = { cmp: [], then: [] };
    for (const { id, slug } of wanted) {
      if (view.get(tenantKey(id)) !== undefined) continue;
      const decision = createTenant(view, { meta: meta(), id, slug, durability: "durable" });
      if (!("draft" in decision)) return decision as { reject: Error };
      all.cmp.push(...decision.draft.cmp);
      const keys = [metadataKey(id, BLOCK, view.revision)];
      const row = { digest: digestOf(keptOf(decision.value)), keys };
      all.then.push(...decision.draft.then, put(metadataRowKey(id), row));
    }
    return all.then.length === 0 ? { settled: undefined } : { draft: all, value: undefined };
  };
}

export async function registerWorkers(runner: Runner, clock: Clock, count: number): Promise<Incarnation[]> {
  const meta = (): Meta => runner.meta("simulation");
  const block = await runner.run((view) => intendBlock(view, meta()));
  const workers: Incarnation[] = [];
  for (let i = 0; i < count; i++) {
    const nonce = String(i).padStart(32, "0");
    const request = { url: `http://worker-${i}`, nonce, version: "0.1.0", nowMs: clock.nowMs() };
    workers.push(await runner.run((view) => registerWorker(view, { meta: meta(), request, block })));
  }
  return workers;
}

/** Gives a tenant that nobody has to a worker. May be run again. */
export function assign(runner: Runner, id: TenantId): Promise<TenantRecord> {
  return runner.run((view) => assignTenant(view, runner.meta("simulation"), id));
}

/** From its worker to `to`, in two transactions as the mover does. May be run again: what is done already is not done twice. */
export async function move(runner: Runner, id: TenantId, to: Incarnation): Promise<void> {
  const tenant = await runner.run((view) => {
    const known = view.get(tenantKey(id));
    if (known?.transfer !== undefined || known?.owner?.incarnation === to) return { settled: known };
    return beginTransfer(view, { meta: runner.meta("simulation"), id, to, why: "move" });
  });
  const transfer = tenant?.transfer;
  if (transfer === undefined) return;
  await runner.run((view) => finishTransfer(view, runner.meta("simulation"), id, transfer.id, BASE));
}
