import { SystemError, errorResponse, parseErrorBody } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import type { Control } from "../service.ts";
import { pathAndQuery } from "./http.ts";

type Answer = (request: Request) => Response | Promise<Response>;
type ForwardParts = Pick<Control, "store" | "leadership" | "clock" | "fetch">;

/** Of fetch, when the connection was never made: the other side has seen nothing. */
const NEVER_SENT = new Set(["ConnectionRefused", "ECONNREFUSED", "FailedToOpenSocket"]);
const HOP_HEADERS = ["host", "connection", "content-length", "transfer-encoding", "keep-alive"];

/**
 * What changes something is answered by the leader, whichever replica was asked: a follower passes it on with its signature or
 * token and waits out an election; everything else is answered here. A request is passed on once, never in a circle.
 */
export function forwardToLeader(parts: ForwardParts, here: Answer): Answer {
  return async (request) => {
    if (request.method === "GET" || request.method === "HEAD" || parts.leadership.current !== undefined) {
      return here(request);
    }
    const body = await request.arrayBuffer();
    const again = (): Request =>
      new Request(request.url, { method: request.method, headers: request.headers, body });
    const deadlineMs = parts.clock.monotonicMs() + limits.leaderWaitMs;
    for (;;) {
      if (parts.leadership.current !== undefined) return here(again());
      const leader = await leaderUrl(parts);
      if (leader !== undefined && !request.headers.has(HEADERS.forwardedBy)) {
        const response = await passOn(parts, leader, request, body);
        if (response !== undefined) return response;
      }
      if (parts.clock.monotonicMs() >= deadlineMs || request.signal.aborted) return here(again());
      await parts.clock.sleep(limits.raftTickMs, request.signal).catch(() => undefined);
    }
  };
}

/** Undefined while nobody leads or nobody knows who does, or when this replica itself is about to. */
async function leaderUrl({ store }: ForwardParts): Promise<string | undefined> {
  const [{ self }, members] = await Promise.all([store.health(), store.members().catch(() => [])]);
  const leader = members.find((member) => member.role === "leader");
  return leader === undefined || leader.id === self || leader.url === "" ? undefined : leader.url;
}

/** Undefined when it certainly did nothing there and may be tried again. */
async function passOn(
  parts: ForwardParts,
  leader: string,
  request: Request,
  body: ArrayBuffer,
): Promise<Response | undefined> {
  const headers = new Headers(request.headers);
  for (const name of HOP_HEADERS) headers.delete(name);
  headers.set(HEADERS.forwardedBy, "control");
  try {
    const response = await parts.fetch(leader + pathAndQuery(request.url), {
      method: request.method,
      headers,
      ...(body.byteLength === 0 ? {} : { body }),
      redirect: "manual",
      signal: AbortSignal.any([request.signal, AbortSignal.timeout(limits.forwardMs)]),
    });
    if (response.status !== 503) return response;
    const text = await response.text();
    if (parseErrorBody(text)?.code === "control_no_leader") return undefined;
    return new Response(text, { status: response.status, headers: response.headers });
  } catch (cause) {
    if (NEVER_SENT.has((cause as { code?: string }).code ?? "")) return undefined;
    return errorResponse(
      new SystemError(
        "control_state_unknown",
        "Cannot say whether this was done: the leader did not answer",
        {
          cause,
          hint: "Look at the present state, or repeat the request: with the same Idempotency-Key a tenant is created once.",
          retryAfterMs: 1000,
        },
      ),
    );
  }
}
