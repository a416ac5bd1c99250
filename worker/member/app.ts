import { SystemError, UserError } from "../../shared/errors.ts";
import { type TenantId, parseTenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import { type OwnershipRequest, ownershipRequestSchema } from "../../shared/protocol/internal.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";
import { verifyCall } from "../../shared/protocol/signature.ts";
import type { Departures } from "./departures.ts";
import type { Visitors } from "./visitors.ts";

/** What of an incarnation the member endpoints act on. */
export interface MemberSession {
  readonly incarnation: number;
  readonly visitors: Visitors;
  readonly departures: Departures;
}

export interface MemberAppOptions {
  /** The member keys alone: gateways may not do this. */
  keys: Keyring;
  session: () => MemberSession | undefined;
  nowMs?: () => number;
}

const ONE_TENANT = /^\/v1\/tenants\/([^/?]+)\/(release|load)$/;

/**
 * What control asks of a worker, below `/v1/` (shared/protocol/internal.ts). Errors are thrown: the server answers them.
 *
 * @throws UserError `unauthorized`, `not_found`, `invalid_body`, `not_owner`; SystemError `worker_starting`
 */
export function createMemberApp(
  options: MemberAppOptions,
): (request: Request, path: string) => Promise<Response> {
  return async (request, path) => {
    const body = await readSigned(options, request, path);
    const session = options.session();
    if (session === undefined) {
      throw new SystemError("worker_starting", "Cannot do this: this worker has no incarnation now", {
        retryAfterMs: 1000,
      });
    }
    if (request.method === "GET" && path === "/v1/tenants") {
      return Response.json({ tenants: session.visitors.list() });
    }
    const [, id, action] = ONE_TENANT.exec(path) ?? [];
    if (request.method !== "POST" || id === undefined) {
      throw new UserError("not_found", `Cannot ${request.method} ${path}: no such path`);
    }
    const tenant = parseTenantId(id);
    const { epoch } = ownership(session, tenant, body);
    if (action === "release") {
      return Response.json({ base: await session.departures.release(tenant, epoch) });
    }
    const visit = await session.visitors.enter(tenant, epoch);
    visit.end();
    return Response.json({});
  };
}

function ownership(session: MemberSession, tenant: TenantId, body: Uint8Array): OwnershipRequest {
  let raw: unknown;
  try {
    raw = JSON.parse(new TextDecoder().decode(body));
  } catch (cause) {
    throw new UserError("invalid_body", "Cannot read request: its body is not JSON", { cause });
  }
  const parsed = ownershipRequestSchema.safeParse(raw);
  if (!parsed.success) {
    throw new UserError(
      "invalid_body",
      `Cannot read request: ${parsed.error.issues[0]?.message ?? "bad body"}`,
    );
  }
  if (parsed.data.incarnation !== session.incarnation) {
    throw new UserError(
      "not_owner",
      `Cannot act on tenant ${tenant}: this is incarnation ${session.incarnation}`,
      { details: { incarnation: session.incarnation } },
    );
  }
  return parsed.data;
}

async function readSigned(
  { keys, nowMs = Date.now }: MemberAppOptions,
  request: Request,
  path: string,
): Promise<Uint8Array> {
  const header = request.headers.get(HEADERS.signature);
  const length = Number(request.headers.get("content-length") ?? 0);
  if (length > limits.controlBodyBytesMax) {
    throw new UserError("too_large", "Cannot read request: its body is too long");
  }
  const body = header === null ? new Uint8Array() : new Uint8Array(await request.arrayBuffer());
  const verified = verifyCall(keys, header, request.method, path, body, nowMs());
  if ("problem" in verified) {
    throw new UserError("unauthorized", `Cannot call ${path}: the signature is missing or wrong`, {
      hint: "Only members call this: check that both sides have the same member key and that their clocks agree.",
    });
  }
  return body;
}
