/** For tests: a worker double that owns tenants the way a real one does, as far as control can tell. */
import type { Epoch, TenantId } from "../shared/ids.ts";
import { errorResponse, UserError } from "../shared/errors.ts";
import type { Assignment, OwnershipRequest, Positions, PrewarmRequest } from "../shared/protocol/internal.ts";
import type { TestWorker } from "./control-fixture.ts";

export interface Member {
  /** Every answered release, in order; the same one asked again is not repeated. */
  readonly released: { tenant: TenantId; epoch: Epoch }[];
  readonly prewarmed: Assignment[];
  readonly loaded: { tenant: TenantId; epoch: Epoch }[];
  /** What `GET /v1/tenants` says. */
  listed: { tenant: TenantId; epoch: Epoch; idleMs: number }[];
  /** Instead of releasing; undefined: it releases. */
  refuse: ((tenant: TenantId, epoch: Epoch) => Response | Promise<Response> | undefined) | undefined;
}

/** Where a released tenant of the double ends. */
export const RELEASED_BASE: Positions = { "data.db": { txid: 7 as never, entryHash: "h" } };

/** Where it is while it still serves. */
export const FLUSHED_BASE: Positions = { "data.db": { txid: 5 as never, entryHash: "f" } };

/** Makes a TestWorker answer control's member calls. */
export function actAsMember(worker: TestWorker): Member {
  const member: Member = { released: [], prewarmed: [], loaded: [], listed: [], refuse: undefined };
  worker.answer = async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/v1/tenants") {
      const counters = { loadedMs: 1, requests: 1, busyMs: 1 };
      return Response.json({ tenants: member.listed.map((one) => ({ ...one, ...counters })) });
    }
    const [, id, action] = /^\/v1\/tenants\/(\w+)\/(release|load|flush|prewarm)$/.exec(pathname) ?? [];
    if (id === undefined) return new Response(null, { status: 404 });
    const tenant = id as TenantId;
    const asked = (await request.json()) as OwnershipRequest & Partial<PrewarmRequest>;
    const { incarnation, epoch } = asked;
    if (incarnation !== worker.incarnation) return errorResponse(new UserError("not_owner", "Cannot: not I"));
    if (action === "flush") return Response.json({ base: FLUSHED_BASE });
    if (action === "prewarm") {
      if (asked.assignment !== undefined) member.prewarmed.push(asked.assignment);
      return Response.json({});
    }
    if (action === "load") {
      member.loaded.push({ tenant, epoch });
      return Response.json({});
    }
    const refusal = await member.refuse?.(tenant, epoch);
    if (refusal !== undefined) return refusal;
    if (!member.released.some((one) => one.tenant === tenant && one.epoch === epoch)) {
      member.released.push({ tenant, epoch });
    }
    return Response.json({ base: RELEASED_BASE });
  };
  return member;
}
