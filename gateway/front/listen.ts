import { SystemError } from "../../shared/errors.ts";
import type { Listening, Runtime, Where } from "../runtime.ts";
import type { ClientOptions } from "./client-connection.ts";
import { Front } from "./front.ts";

/**
 * A front of ours on an address, until the runtime stops: then it takes no more, and ends with what is under way.
 *
 * @throws SystemError `address_in_use`
 */
export function listenOn({ listen, stopping }: Runtime, options: ClientOptions, where: Where): Listening {
  const front = new Front(options);
  try {
    // Who shares a port is not told that others have it already: strangers are.
    if (where.shared && where.port !== 0) listen({ ...plain(where), shared: false }, () => undefined).close();
  } catch (cause) {
    throw inUse(where, cause);
  }
  return serveOn(front, { listen, stopping }, where);
}

/** As `listenOn`, where another thread listens already. */
export function joinIn({ listen, stopping }: Runtime, options: ClientOptions, where: Where): Listening {
  return serveOn(new Front(options), { listen, stopping }, where);
}

function serveOn(
  front: Front,
  { listen, stopping }: Pick<Runtime, "listen" | "stopping">,
  where: Where,
): Listening {
  try {
    const { port, close } = listen(plain(where), front.accept);
    const finished = new Promise<void>((resolve) => {
      const stop = (): void => {
        close();
        void front.end().then(resolve);
      };
      stopping.addEventListener("abort", stop, { once: true });
    });
    return { url: `http://${where.hostname}:${port}`, finished };
  } catch (cause) {
    throw inUse(where, cause);
  }
}

/** Without the brackets that an IPv6 address has where a port follows. */
function plain(where: Where): Where {
  return { ...where, hostname: where.hostname.replace(/^\[|\]$/g, "") };
}

function inUse({ hostname, port }: Where, cause: unknown): SystemError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new SystemError("address_in_use", `Cannot listen on ${hostname}:${port}: ${why}`, { cause });
}
