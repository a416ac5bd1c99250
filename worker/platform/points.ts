import type { z } from "zod";
import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { TicketAction } from "../../shared/protocol/internal.ts";
import { type Points, branchRequestSchema, restoreRequestSchema } from "../../shared/protocol/points.ts";
import type { TenantRequest } from "../http/contract.ts";
import { namedUploads } from "../model/records/named-uploads.ts";
import { detachBranch } from "../points/detach.ts";
import { listPoints } from "../points/list-points.ts";
import { pinBranch } from "../points/pin-branch.ts";
import { restoreInPlace } from "./restore-in-place.ts";

interface PointAction {
  ticket: TicketAction;
  answer(context: TenantRequest, temporary: string | undefined): Promise<object>;
}

/** Points in time and branches of one tenant, by method and path. */
export const POINT_ACTIONS: Readonly<Record<string, PointAction>> = {
  "GET /_manybase/points": { ticket: "points", answer: points },
  "POST /_manybase/restore": {
    ticket: "restore",
    answer: async (context, temporary) =>
      restoreInPlace(context, await body(context, restoreRequestSchema, "restore"), temporary),
  },
  "POST /_manybase/branches": {
    ticket: "branch",
    answer: async (context) => {
      const request = await body(context, branchRequestSchema, "branch");
      return pinBranch(context.tenant, request, within(context, limits.branchCallMs));
    },
  },
  "POST /_manybase/detach": { ticket: "detach", answer: detach },
};

async function points(context: TenantRequest): Promise<Points> {
  const { tenant } = context;
  const signal = within(context, limits.storeRequestMs);
  await tenant.history.materialise();
  return listPoints({
    store: tenant.objects,
    tenant: tenant.id,
    signal,
    nowMs: tenant.history.clock.nowMs(),
  });
}

/** A tenant that is no branch (any more) has nothing to copy: asking twice is harmless. */
async function detach(context: TenantRequest, temporary: string | undefined): Promise<{ uploads: number }> {
  const { tenant } = context;
  const { origin, store } = tenant.history;
  if (origin === undefined) return { uploads: 0 };
  const signal = within(context, limits.detachCallMs);
  const named = (keys: readonly string[]): ReadonlySet<string> => namedUploads(tenant, keys);
  const copied = await detachBranch({ tenant, store, origin, namedUploads: named, signal, temporary });
  tenant.history.detached();
  return copied;
}

async function body<Schema extends z.ZodType>(
  { request }: TenantRequest,
  schema: Schema,
  verb: string,
): Promise<z.output<Schema>> {
  const parsed = schema.safeParse(await request.json().catch(() => undefined));
  if (parsed.success) return parsed.data;
  throw new UserError("invalid_body", `Cannot ${verb}: ${parsed.error.issues[0]?.message ?? "bad body"}`);
}

function within({ request, tenant }: TenantRequest, ms: number): AbortSignal {
  return AbortSignal.any([request.signal, tenant.gone, AbortSignal.timeout(ms)]);
}
