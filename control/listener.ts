import { SystemError, errorResponse } from "../shared/errors.ts";
import { LINK_PATH } from "./raft/link/handshake.ts";
import { type LinkServer, listen } from "./listen.ts";

type Answer = (request: Request) => Response | Promise<Response>;

/** Listens from the start, because members meet here before there is a state to answer from. */
export class Listener {
  readonly url: string;
  readonly #server: LinkServer;
  links: (request: Request, server: LinkServer) => Response | undefined = notYet;
  answer: Answer = notYet;

  /** @throws SystemError `address_in_use` */
  constructor(at: { hostname: string; port: number }) {
    this.#server = listen(at, (request, server) =>
      new URL(request.url).pathname === LINK_PATH ? this.links(request, server) : this.answer(request),
    );
    this.url = `http://${this.#server.hostname}:${this.#server.port}`;
  }

  close(): Promise<void> {
    return this.#server.stop(true);
  }
}

function notYet(): Response {
  return errorResponse(
    new SystemError("control_no_leader", "Cannot answer yet: this replica of control is starting", {
      hint: "It waits for a majority of the members, or ask again in a moment.",
      retryAfterMs: 1000,
    }),
  );
}
