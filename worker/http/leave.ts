import { SystemError, errorResponse } from "../../shared/errors.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import type { TenantRequest } from "./contract.ts";

/**
 * The output gate of a response: its head leaves when everything that the request observed is durable (replication.md §4).
 * An answer that cannot be made durable in time is replaced by a 503 that says that the fate of the write is open.
 */
export function leave(context: TenantRequest, response: Response): Response | Promise<Response> {
  // Not until the client goes: that wait is short, and to listen costs more than the rest of it.
  const settled = context.seen.settled();
  if (settled === undefined) return tell(context, response);
  return settled.then(
    () => tell(context, response),
    async (error: unknown) => {
      await response.body?.cancel();
      const refused = errorResponse(
        error instanceof SystemError
          ? error
          : new SystemError(
              "commit_unknown",
              "Cannot say whether this was kept: the object store did not answer in time",
              {
                cause: error,
                retryAfterMs: 1000,
              },
            ),
      );
      refused.headers.set(HEADERS.commitState, "unknown");
      return refused;
    },
  );
}

function tell(context: TenantRequest, response: Response): Response {
  const position = context.seen.headers();
  for (const name in position) response.headers.set(name, position[name] ?? "");
  // Bun sends a stream in chunks whatever its announced length: the gateway needs that to tell the client.
  const length = response.headers.get("content-length");
  if (length !== null) response.headers.set(HEADERS.bodyLength, length);
  return response;
}
