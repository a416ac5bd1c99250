import type { Server } from "bun";
import { SystemError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { type LinkSocketData, linkSockets } from "./raft/link/sockets.ts";

export type LinkServer = Server<LinkSocketData | undefined>;

/** Serves; port 0 takes a free one. @throws SystemError `address_in_use` */
export function listen(
  at: { hostname: string; port: number },
  fetch: (request: Request, server: LinkServer) => Response | undefined | Promise<Response | undefined>,
): LinkServer {
  try {
    return Bun.serve<LinkSocketData | undefined>({
      ...at,
      maxRequestBodySize: limits.memberBodyBytesMax,
      // Resolving may wait routeWaitMsMax, an answer of a loading tenant tenantLoadMsMax; streams tell progress more often.
      idleTimeout: Math.ceil((2 * limits.tenantLoadMsMax) / 1000),
      websocket: linkSockets,
      fetch,
    });
  } catch (cause) {
    throw new SystemError("address_in_use", `Cannot listen on ${at.hostname}:${at.port}: ${reason(cause)}`, {
      cause,
      hint: "Stop what listens there, or choose another address with --listen.",
    });
  }
}

function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "EADDRINUSE") return "the address is in use";
  return error instanceof Error ? error.message : String(error);
}
