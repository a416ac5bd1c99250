import type { Gateway, GatewayGauges } from "./app.ts";
import type { Mac } from "../shared/protocol/grant.ts";
import type { Connect } from "./http1/pool.ts";
import type { Incoming } from "./proxy/incoming.ts";
import type { Socket } from "./proxy/upstream.ts";
import type { Observer } from "./observe/access-log.ts";

/** A listening socket. */
export interface Listener {
  port: number;
  /** Takes no more connections; those that are open stay. */
  close: () => void;
}

/** A server: of the front's, or of a platform that has one of its own. */
export interface Listening {
  url: string;
  /** Settles when it has ended because of the signal. */
  finished: Promise<void>;
}

export interface Where {
  hostname: string;
  port: number;
  /** Other threads listen there, too, and the system gives each connection to one of them. */
  shared: boolean;
}

export type Accept = (socket: Socket, address: string) => void;

/** What a further thread of this process is to do. */
export interface ThreadOrder {
  arguments: readonly string[];
  /** Where the first thread listens, with its port. */
  where: Where;
}

/** The further threads, all asked together; settles when all have answered. */
export interface Threads {
  ask: (question: "stop" | "reload" | "metrics") => Promise<unknown[]>;
}

/** What a further thread knows of itself. */
export interface GatewayThread {
  order: ThreadOrder;
  /** Gives its numbers. */
  collect: (() => Promise<unknown>) | undefined;
  ready: () => void;
}

export interface Metrics {
  observe: Observer;
  /** Of this thread alone. */
  collect: () => Promise<unknown>;
  /** Of all threads, at `/metrics`. For a private listener. */
  answer: (request: Pick<Incoming, "url">) => Promise<Response>;
}

/** All that the gateway takes from the runtime under it; `adapters/` hold one each. */
export interface Runtime {
  arguments: readonly string[];
  environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by SIGINT, SIGTERM, and by the supervisor's end when there is one. */
  stopping: AbortSignal;
  /** Requests to control. */
  fetch: typeof fetch;
  /** Connections to workers. */
  connect: Connect;
  /** Where there is a quicker one than what runs everywhere. */
  mac?: Mac;
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
  /** Hands over each new connection with its address. */
  listen: (where: Where, accept: Accept) => Listener;
  /** Where a platform takes the connections itself and gives requests. */
  serve?: (fetch: Gateway["fetch"], where: Where, signal: AbortSignal) => Promise<Listening>;
  /** The Prometheus side of the metrics; only loaded when they are asked for. */
  metrics: (
    gauges: GatewayGauges,
    /** The numbers of other threads. */
    others: () => Promise<unknown[]>,
  ) => Promise<Metrics>;
  /** Absent in a thread. */
  startThreads?: (count: number, order: ThreadOrder, failed: (message: string) => void) => Promise<Threads>;
  /** Present in a further thread: it serves and no more. */
  thread?: GatewayThread;
  print: (line: string) => void;
  complain: (line: string) => void;
  exit: (status: number) => never;
}
