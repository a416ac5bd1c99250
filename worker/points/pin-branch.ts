import { SystemError, UserError } from "../../shared/errors.ts";
import { AUXILIARY_DB, type DatabaseName, STATE_DB, type TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { pinKey, pinsPrefix } from "../../shared/objects/layout.ts";
import type { BranchPoint, BranchRequest, Pin } from "../../shared/protocol/points.ts";
import { putDurably } from "../replication/put-durably.ts";
import type { Tenant } from "../tenant/contract.ts";
import { findPoint, isoTime } from "./find-point.ts";
import { stepKey } from "./history.ts";
import { encodePin, readBranchPin } from "./pins.ts";

/** Logs, and marks that are about the parent itself (SQL tokens, cron marks), begin anew in a branch. */
const LEFT_BEHIND: ReadonlySet<DatabaseName> = new Set([AUXILIARY_DB, STATE_DB]);

/**
 * Makes the tenant keep what a branch is read from, in its owner: the point is materialised, nothing of it is condemned, the pin is
 * durable, and then a PUT to the own log proves that no later owner can have looked at the prefix before the pin was there.
 *
 * @returns where the branch begins; for a branch that is pinned already what was said then
 * @throws UserError `point_not_found`, `conflict`; SystemError `fenced`, `store_unavailable`
 */
export async function pinBranch(
  tenant: Tenant,
  { branch, at }: BranchRequest,
  signal: AbortSignal,
): Promise<BranchPoint> {
  const { history, id } = tenant;
  if (history.origin !== undefined) {
    throw new UserError(
      "conflict",
      "Cannot branch from this tenant: it is itself a branch that reads another's files",
      {
        hint: "Detach it first: `manybase tenants detach <slug>`.",
      },
    );
  }
  if (branch === id) throw new UserError("conflict", "Cannot branch from this tenant: the branch has its id");
  await history.materialise();
  const pin = await history.undisturbed(() => writePin(tenant, branch, at, signal));
  await history.prove();
  const { keys: _, ...point } = pin;
  return point;
}

async function writePin(
  tenant: Tenant,
  branch: TenantId,
  at: BranchRequest["at"],
  signal: AbortSignal,
): Promise<Pin> {
  const { objects, id, history } = tenant;
  const before = await readBranchPin(objects, id, branch, { signal });
  if (before !== undefined) return before;
  const others = await objects.list({ prefix: pinsPrefix(id), limit: limits.pinsMax, signal });
  if (others.objects.length >= limits.pinsMax || others.next !== undefined) {
    throw new UserError("conflict", `Cannot branch from this tenant: it has ${limits.pinsMax} branches`, {
      hint: "Detach or delete some.",
    });
  }
  const { clock } = history;
  const nowMs = clock.nowMs();
  const found = await findPoint({ store: objects, tenant: id, signal, nowMs }, at);
  const databases = [...found.databases].filter(([name]) => !LEFT_BEHIND.has(name));
  const keys = databases.flatMap(([, { steps }]) => steps.map(stepKey));
  const condemned = await history.condemned(signal);
  if (keys.some((key) => condemned.has(key))) {
    throw new UserError(
      "conflict",
      `Cannot branch at TXID ${found.point.txid}: what it needs is being removed`,
      {
        hint: "Take a younger point: `manybase tenants points <slug>`.",
      },
    );
  }
  if (keys.length > limits.pinKeysMax) {
    throw new SystemError(
      "overloaded",
      `Cannot branch at TXID ${found.point.txid}: it stands in ${keys.length} files`,
      {
        hint: "Take the newest point, or try again in some hours, when maintenance has merged files.",
      },
    );
  }
  const { point, exact, next } = found;
  const pin: Pin = {
    branch,
    at: isoTime(nowMs),
    point,
    exact,
    ...(next === undefined ? {} : { next }),
    databases: Object.fromEntries(databases.map(([name, { txid }]) => [name, { txid }])),
    keys,
  };
  const bytes = encodePin(pin);
  await putDurably(objects, pinKey(id, branch), () => bytes, { clock, signal });
  // Whoever asked at the same time may have been first.
  return (await readBranchPin(objects, id, branch, { signal })) ?? pin;
}
