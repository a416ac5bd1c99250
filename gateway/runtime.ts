import type { GatewayBindings, GatewayGauges } from "./app.ts";
import type { SendUpstream } from "./proxy/upstream.ts";
import type { Observer } from "./observe/access-log.ts";

/** Answers one request; what an adapter adds to it is in the bindings. */
export type Handler = (request: Request, bindings: GatewayBindings) => Response | Promise<Response>;

export interface Listening {
  url: string;
  /** Settles when the server has ended because of the signal. */
  finished: Promise<void>;
}

/** All that the gateway takes from the runtime under it; `adapters/` hold one each. */
export interface Runtime {
  arguments: readonly string[];
  environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by SIGINT, SIGTERM, and by the supervisor's end when there is one. */
  stopping: AbortSignal;
  /** Requests to control, and to workers where there is no `send`. */
  fetch: typeof fetch;
  /** Requests to workers. Hands bodies on as they are, whatever their encoding. */
  send?: SendUpstream;
  /** True when `fetch` takes a body off its encoding unless the request asks for `identity`. */
  decodesBodies: boolean;
  /** @throws when there is no such file */
  readText: (path: string) => string;
  /** Replaces a file at once: a reader, or we after a crash, see the old text or the new one. Makes the folder. */
  replaceText: (path: string, text: string) => Promise<void>;
  /** Every file below a folder, by its path there with `/` between names. @throws when it cannot be read, or has over `filesMax` */
  readFolder: (path: string, filesMax: number) => Iterable<[path: string, bytes: Uint8Array<ArrayBuffer>]>;
  /** Called at each SIGHUP. */
  onReload: (look: () => void) => void;
  serve: (
    handler: Handler,
    listen: { hostname: string; port: number },
    signal: AbortSignal,
  ) => Promise<Listening>;
  /** The Prometheus side of the metrics; only loaded when they are asked for. */
  metrics: (
    gauges: GatewayGauges,
  ) => Promise<{ observe: Observer; answer: (request: Request) => Promise<Response> }>;
  print: (line: string) => void;
  complain: (line: string) => void;
  exit: (status: number) => never;
}
