import { UserError } from "../../shared/errors.ts";
import { type Epoch, type Slug, type TenantId, type Txid, parseTxid } from "../../shared/ids.ts";
import type { Durability, Position } from "../../shared/protocol/internal.ts";
import type { BranchPoint } from "../../shared/protocol/points.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { idempotencyKey, pinRecordKey, slugKey, tenantKey } from "./keys.ts";
import type { PinRecord, TenantRecord } from "./records.ts";
import { requireTenant } from "./tenant-parts.ts";
import { type Decision, type View, draft, put, remove } from "./view.ts";

/*
 * pin record → pin under the parent's prefix → branch record (the pin record goes with it). A pin record that stays alone is a pin
 * that nobody needs; removing one marks its record first, so that no branch can come of it any more.
 */

export interface BranchTenant {
  meta: Meta;
  id: TenantId;
  slug: Slug;
  parent: TenantId;
  durability?: Durability;
  /** As for a creation. */
  idempotency?: { key: string; request: string };
}

/**
 * The intent to pin, before the parent's owner is asked. Rejects as `createTenant` does, and with `conflict` for a parent that cannot
 * be branched from. @returns the branch, if the same request has made it already
 */
export function intendBranch(view: View, command: BranchTenant): Decision<TenantRecord | undefined> {
  const known = remembered(view, command);
  if (known !== undefined) return known;
  const parent = branchable(view, command);
  if ("reject" in parent) return parent;
  const { id, meta } = command;
  const record: PinRecord = { branch: id, parent: parent.id, atMs: meta.atMs };
  return {
    draft: draft(
      view,
      [tenantKey(parent.id), pinRecordKey(id), slugKey(command.slug)],
      [
        put(pinRecordKey(id), record),
        audit(meta, "branch.intend", parent.id, { branch: id, slug: command.slug }),
      ],
    ),
    value: undefined,
  };
}

/** The pin is durable: the branch exists from here on. Rejects as `intendBranch`, and when the pin was given up meanwhile. */
export function createBranch(
  view: View,
  command: BranchTenant & { point: BranchPoint },
): Decision<TenantRecord> {
  const known = remembered(view, command);
  if (known !== undefined) return known;
  const parent = branchable(view, command);
  if ("reject" in parent) return parent;
  const { meta, id, slug, durability = parent.durability, idempotency, point } = command;
  const pin = view.get(pinRecordKey(id));
  if (pin === undefined || pin.removing === true) {
    return {
      reject: new UserError("conflict", `Cannot branch ${parent.slug}: it took too long`, {
        hint: "Nothing was made. Try again.",
      }),
    };
  }
  const at = isoTime(meta.atMs);
  const positions = Object.entries(point.databases);
  const base = Object.fromEntries(
    positions.map(([name, { txid }]): [string, Position] => [name, { txid, entryHash: "" }]),
  );
  const databases = Object.fromEntries(
    positions.map(([name, { txid }]): [string, Txid] => [name, parseTxid(txid)]),
  );
  const tenant: TenantRecord = {
    id,
    slug,
    state: "created",
    suspended: false,
    durability,
    epoch: 0 as Epoch,
    base,
    tails: [],
    virgin: false,
    ...(parent.encrypted === undefined ? {} : { encrypted: parent.encrypted }),
    origin: { tenant: parent.id, encrypted: parent.encrypted === true, databases },
    ...(parent.storageBytesMax === undefined ? {} : { storageBytesMax: parent.storageBytesMax }),
    ...(parent.limits === undefined ? {} : { limits: parent.limits }),
    ...(parent.region === undefined ? {} : { region: parent.region }),
    created: at,
    updated: at,
  };
  const memory = idempotency === undefined ? undefined : idempotencyKey(idempotency.key);
  const keys = [slugKey(slug), tenantKey(id), tenantKey(parent.id), pinRecordKey(id)];
  return {
    draft: draft(
      view,
      [...keys, ...(memory === undefined ? [] : [memory])],
      [
        put(slugKey(slug), id),
        put(tenantKey(id), tenant),
        remove(pinRecordKey(id)),
        ...(memory === undefined || idempotency === undefined
          ? []
          : [put(memory, { request: idempotency.request, tenant: id, atMs: meta.atMs })]),
        audit(meta, "tenant.branch", id, { slug, parent: parent.id, point: point.point, databases }),
      ],
    ),
    value: tenant,
  };
}

/** Everything that the branch read elsewhere is its own now: it stands alone, and its pin may go. Twice is as once. */
export function detachTenant(view: View, meta: Meta, id: TenantId): Decision<TenantRecord> {
  const tenant = requireTenant(view, id);
  if ("reject" in tenant || tenant.origin === undefined)
    return "reject" in tenant ? tenant : { settled: tenant };
  const { origin, ...rest } = tenant;
  const next: TenantRecord = { ...rest, updated: isoTime(meta.atMs) };
  return {
    draft: draft(
      view,
      [tenantKey(id), pinRecordKey(id)],
      [
        put(tenantKey(id), next),
        put(pinRecordKey(id), { branch: id, parent: origin.tenant, atMs: meta.atMs, removing: true }),
        audit(meta, "tenant.detach", id, { parent: origin.tenant }),
      ],
    ),
    value: next,
  };
}

/** Whether the pin may be removed now: its branch was not made in time, or does not need it any more. */
export function giveUpPin(view: View, branch: TenantId, oldestMs: number): Decision<PinRecord | undefined> {
  const pin = view.get(pinRecordKey(branch));
  if (pin === undefined || pin.removing === true) return { settled: pin };
  if (pin.atMs > oldestMs) return { settled: undefined };
  const next: PinRecord = { ...pin, removing: true };
  return { draft: draft(view, [pinRecordKey(branch)], [put(pinRecordKey(branch), next)]), value: next };
}

/** The pin is not there any more. */
export function forgetPin(view: View, branch: TenantId): Decision<void> {
  const key = pinRecordKey(branch);
  if (view.get(key)?.removing !== true) return { settled: undefined };
  return { draft: draft(view, [key], [remove(key)]), value: undefined };
}

/** What the same request made before, or the refusal for another one under the same key. */
function remembered(
  view: View,
  { idempotency }: BranchTenant,
): { settled: TenantRecord } | { reject: UserError } | undefined {
  if (idempotency === undefined) return undefined;
  const before = view.get(idempotencyKey(idempotency.key));
  if (before === undefined) return undefined;
  const made = view.get(tenantKey(before.tenant));
  if (before.request === idempotency.request && made !== undefined) return { settled: made };
  return {
    reject: new UserError(
      "idempotency_mismatch",
      "Cannot branch tenant: this Idempotency-Key was used for another request",
      { hint: "Use a new key for a new request." },
    ),
  };
}

function branchable(view: View, { parent: id, slug }: BranchTenant): TenantRecord | { reject: UserError } {
  const parent = requireTenant(view, id);
  if ("reject" in parent) return parent;
  const refuse = (state: string): { reject: UserError } => ({
    reject: new UserError("conflict", `Cannot branch ${parent.slug}: ${state}`),
  });
  if (parent.state === "deleted") return refuse("it is deleted");
  if (parent.state === "archived") return refuse("it is archived");
  if (parent.origin !== undefined) return refuse("it is a branch that is not detached yet");
  if (view.get(slugKey(slug)) !== undefined) {
    return {
      reject: new UserError("slug_taken", `Cannot create tenant ${slug}: the slug is in use`, {
        details: { fields: { slug: "in use" } },
      }),
    };
  }
  return parent;
}
