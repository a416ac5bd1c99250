import { UserError } from "../../shared/errors.ts";
import type { Epoch, Incarnation, TenantId } from "../../shared/ids.ts";
import type { CarriedState, Due, Positions, Tail, TenantState } from "../../shared/protocol/internal.ts";
import { tenantKey } from "./keys.ts";
import type { SealRecord, TenantRecord } from "./records.ts";
import type { View } from "./view.ts";

/** No entry can lie below the first slot. */
const EMPTY_LOG_END = 1;

/** The tails of a tenant whose owner's log was sealed: that log may hold entries above `base`, unless it ended empty. */
export function withTail(
  { tails, epoch }: Pick<TenantRecord, "tails" | "epoch">,
  old: Incarnation | undefined,
  seal: SealRecord | undefined,
): Tail[] {
  if (old === undefined || seal === undefined || seal.endSeq <= EMPTY_LOG_END) return tails;
  return [
    ...tails.filter((tail) => tail.incarnation !== old),
    { incarnation: old, endSeq: seal.endSeq, epoch },
  ];
}

/** Positions never go back: a report that was overtaken by a newer one changes nothing. */
export function raise(known: Positions, given: Positions): Positions {
  const higher = Object.entries(given).filter(([name, at]) => at.txid > (known[name]?.txid ?? 0));
  return higher.length === 0 ? known : { ...known, ...Object.fromEntries(higher) };
}

export function hasContent(base: Positions): boolean {
  return Object.values(base).some((at) => at.txid > 0);
}

/** Everything of it lies under its prefix up to `base`: no tails, and nothing to create where something was. */
export function settledAt(tenant: TenantRecord, base: Positions): TenantRecord {
  const raised = raise(tenant.base, base);
  return { ...tenant, base: raised, tails: [], virgin: tenant.virgin && !hasContent(raised) };
}

/** Nobody's; what is deleted stays deleted. */
export function withoutOwner(tenant: TenantRecord): TenantRecord {
  const { owner: _, transfer: __, ...rest } = tenant;
  return { ...rest, state: ownerless(tenant) };
}

/** Owned by `incarnation` under the next epoch, and not on its way any more. */
export function ownedBy(tenant: TenantRecord, incarnation: Incarnation): TenantRecord {
  const { transfer: _, ...rest } = tenant;
  const state = tenant.state === "deleted" ? "deleted" : "deploying";
  return { ...rest, state, epoch: (tenant.epoch + 1) as Epoch, owner: { incarnation } };
}

/** What its owner says of when it must be awake. */
export function dueAt(tenant: TenantRecord, dueMs: Due): TenantRecord {
  if (dueMs === undefined || (dueMs ?? undefined) === tenant.dueMs) return tenant;
  const { dueMs: _, ...rest } = tenant;
  return dueMs === null ? rest : { ...rest, dueMs };
}

/** What a released tenant takes along, for its next owner alone. */
export function carrying(tenant: TenantRecord, carried: CarriedState | undefined): TenantRecord {
  const { carried: _, ...rest } = tenant;
  return carried === undefined || Object.keys(carried).length === 0 ? rest : { ...rest, carried };
}

/** Nobody is to serve it. */
export function isClosed(tenant: TenantRecord): boolean {
  return tenant.suspended || tenant.state === "deleted" || tenant.state === "archived";
}

/** @throws never; the refusal for an id that is not there */
export function requireTenant(view: View, id: TenantId): TenantRecord | { reject: UserError } {
  const tenant = view.get(tenantKey(id));
  if (tenant !== undefined) return tenant;
  return { reject: new UserError("tenant_not_found", "Cannot find tenant: there is none of that id") };
}

function ownerless(tenant: TenantRecord): TenantState {
  if (tenant.state === "deleted" || tenant.state === "archived") return tenant.state;
  return tenant.epoch === 0 ? "created" : "evicted";
}
