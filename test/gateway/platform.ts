import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Server } from "bun";
import { UserError, errorResponse } from "../../shared/errors.ts";
import { verifyGrant } from "../../shared/protocol/grant.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import { type Keyring, parseKeyring } from "../../shared/protocol/keys.ts";
import { type Running, bin, eventually, run } from "../e2e/process.ts";
import { startWorkerd } from "./workerd.ts";

export const KEY = `g1:${"A".repeat(44)}`;
export const keys: Keyring = parseKeyring(KEY, "the key of this test");
export const RUNTIMES = ["deno", "bun", "workers"] as const;
/** Those where the gateway is a process of ours, with options and a disk. */
export const PROCESSES = ["deno", "bun"] as const;
export type RuntimeName = (typeof RUNTIMES)[number];

/** A worker that believes grants for its incarnation and answers as the test says. */
export interface FakeWorker {
  url: string;
  incarnation: number;
  server: Server<undefined>;
  /** Method and path of what arrived with a good grant, in order. */
  seen: string[];
  stop(): Promise<void>;
}

type Answer = (request: Request, server: Server<undefined>) => Response | undefined | Promise<Response>;

export function startWorker(incarnation: number, answer: Answer, port = 0): FakeWorker {
  const seen: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port,
    idleTimeout: 0,
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    fetch(request, server) {
      const { pathname, search } = new URL(request.url);
      const header = request.headers.get(HEADERS.grant);
      const grant = verifyGrant(keys, header, request.method, pathname + search, Date.now());
      if (typeof grant === "string") return new Response(grant, { status: 401 });
      if (grant.incarnation !== self.incarnation) {
        return errorResponse(new UserError("not_owner", "Cannot serve this tenant"));
      }
      if (pathname === "/_manybase/owner") return Response.json({ epoch: grant.epoch });
      seen.push(`${request.method} ${pathname}${search}`);
      return answer(request, server);
    },
    websocket: {
      message: (socket, message) => void socket.send(message),
    },
  });
  const self: FakeWorker = {
    url: `http://127.0.0.1:${server.port}`,
    incarnation,
    server,
    seen,
    stop: () => server.stop(true),
  };
  return self;
}

/** Routes as the test sets them, and the stream that tells of changes. */
export class FakeControl {
  readonly routes = new Map<string, object>();
  resolves = 0;
  finds = 0;
  /** Before a resolve is answered. */
  onResolve: ((body: { slug: string; failed?: object }) => Promise<void> | void) | undefined;
  server: Server<undefined>;
  readonly #port: number;
  #revision = 1;
  #streams = new Set<ReadableStreamDefaultController<Uint8Array>>();

  constructor(port = 0) {
    this.server = this.#listen(port);
    this.#port = this.server.port ?? 0;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  set(slug: string, worker: { url: string; incarnation: number } | undefined, extra: object = {}): void {
    this.#revision += 1;
    const route = {
      tenant: slug
        .replace(/[^a-z0-9]/g, "")
        .padEnd(15, "0")
        .slice(0, 15),
      slug,
      state: "active",
      suspended: false,
      epoch: this.#revision,
      revision: this.#revision,
      ...(worker === undefined ? {} : { worker: { url: worker.url, incarnation: worker.incarnation } }),
      ...extra,
    };
    this.routes.set(slug, route);
    this.#tell([route]);
  }

  remove(slug: string): void {
    this.#revision += 1;
    this.routes.delete(slug);
    this.#tell([{ slug, deleted: true }]);
  }

  stop(): Promise<void> {
    this.#streams.clear();
    return this.server.stop(true);
  }

  /** After `stop`, at the same address. */
  restart(): void {
    this.server = this.#listen(this.#port);
  }

  #tell(changes: object[]): void {
    const text = `id: ${this.#revision}\nevent: routes\ndata: ${JSON.stringify(changes)}\n\n`;
    for (const stream of this.#streams) stream.enqueue(new TextEncoder().encode(text));
  }

  #listen(port: number): Server<undefined> {
    return Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: 0,
      fetch: async (request) => {
        const { pathname } = new URL(request.url);
        if (pathname === "/v1/routes/resolve") {
          this.resolves += 1;
          const body = (await request.json()) as { slug: string };
          await this.onResolve?.(body);
          const route = this.routes.get(body.slug);
          return route === undefined
            ? errorResponse(new UserError("tenant_not_found", `Cannot find tenant ${body.slug}`))
            : Response.json(route);
        }
        if (pathname === "/v1/routes/find") {
          this.finds += 1;
          const { slug, host = "" } = (await request.json()) as { slug?: string; host?: string };
          const all = [...this.routes.values()] as { slug: string; domains?: string[] }[];
          const route = all.find((one) => one.slug === slug || one.domains?.includes(host) === true);
          return route === undefined
            ? errorResponse(new UserError("tenant_not_found", "Cannot find tenant"))
            : Response.json(route);
        }
        if (pathname === "/v1/routes") {
          return Response.json({ revision: this.#revision, routes: [...this.routes.values()] });
        }
        if (pathname === "/v1/routes/stream") return this.#stream();
        return Response.json({ asked: pathname });
      },
    });
  }

  #stream(): Response {
    let mine: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        mine = controller;
        this.#streams.add(controller);
        const text = `id: ${this.#revision}\nevent: progress\ndata: {}\n\n`;
        controller.enqueue(new TextEncoder().encode(text));
      },
      cancel: () => {
        if (mine !== undefined) this.#streams.delete(mine);
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }
}

/** A gateway process on a runtime, with the permissions that its task has. */
export interface GatewayProcess {
  process: Running;
  port: number;
  data: string;
  /** `http://<name>.localhost:<port><path>` */
  url(name: string, path?: string): string;
  rssBytes(): number;
  /** The same after a forced collection; only of one started with `collects`. */
  collectedBytes(): Promise<number>;
}

export async function startGateway(
  runtime: RuntimeName,
  controlUrl: string,
  options: readonly string[] = [],
  data = makeData(),
  collects = false,
): Promise<GatewayProcess> {
  if (runtime === "workers") {
    const variables = {
      MANYBASE_CONTROL_URL: controlUrl,
      MANYBASE_DOMAIN: "localhost",
      MANYBASE_GATEWAY_KEY: KEY,
    };
    const dashboards = options.find((option) => option.startsWith("--dashboards="))?.split("=")[1];
    const { process, port } = await startWorkerd(data, variables, dashboards);
    return handle(process, port, data);
  }
  // A thread on Deno reads the program as files.
  const threads = options.some((option) => option.startsWith("--threads"));
  const main =
    runtime === "bun"
      ? [bin("bun"), ...(collects ? ["--preload", COLLECT] : []), "gateway/adapters/bun-main.ts"]
      : [
          bin("deno"),
          "run",
          "--no-prompt",
          "--allow-net",
          "--allow-env=MANYBASE_*",
          ...(collects ? ["--v8-flags=--expose-gc", `--preload=${COLLECT}`] : []),
          `--allow-read=${[data, ...(threads ? ["gateway", "shared", "node_modules"] : [])].join(",")}`,
          `--allow-write=${join(data, "gateway")}`,
          "gateway/main.ts",
        ];
  const words = ["--control", controlUrl, "--data", data, "--listen", "127.0.0.1:0", ...options];
  const process = run([...main, ...words]);
  return handle(process, Number(new URL(await process.line("gateway ready on ")).port), data);
}

const COLLECT = "./test/gateway/collect.ts";

function handle(process: Running, port: number, data: string): GatewayProcess {
  return {
    process,
    port,
    data,
    url: (name, path = "/") => `http://${name}.localhost:${port}${path}`,
    async collectedBytes() {
      const before = process.output().length;
      process.kill("SIGUSR2");
      const [, bytes] = await eventually(() => {
        const found = /collected (\d+)/.exec(process.output().slice(before));
        if (found === null) throw new Error("not collected yet");
        return found;
      });
      return Number(bytes);
    },
    rssBytes: () =>
      Number(Bun.spawnSync(["ps", "-o", "rss=", "-p", String(process.pid)]).stdout.toString()) * 1024,
  };
}

const directories: string[] = [];

export function makeData(): string {
  const data = mkdtempSync(join(tmpdir(), "manybase-gateway-"));
  mkdirSync(join(data, "keys"));
  writeFileSync(join(data, "keys", "gateway.key"), `${KEY}\n`);
  directories.push(data);
  return data;
}

export function removeData(): void {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
}
