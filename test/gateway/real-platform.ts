import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { base64Url } from "../../shared/protocol/mac.ts";
import { type Running, bin, eventually, run } from "../e2e/process.ts";

const TOKEN = `mbo_${"g".repeat(40)}`;
export const ROOT_EMAIL = "root@example.com";
const DENO = ["--no-prompt", "--allow-net", "--allow-env=MANYBASE_*"];
const ROOT_PASSWORD = "root-password-1";

export interface RealOptions {
  controls?: number;
  workers?: number;
  gateways?: readonly ("bun" | "deno")[];
  domain?: string;
  controlOptions?: readonly string[];
  gatewayOptions?: readonly string[];
}

/** A place for a process: what is in it may die and be started again where it was. */
export interface Place {
  name: string;
  url: string;
  process: Running;
  restart(): Promise<void>;
}

export const newKey = (id: string): string =>
  `${id}:${base64Url(crypto.getRandomValues(new Uint8Array(32)))}`;

/** Control, workers and gateways as real processes with one folder of keys for all, on one file store. */
export class RealPlatform {
  readonly data = mkdtempSync(join(tmpdir(), "manybase-edge-"));
  readonly controls: Place[] = [];
  readonly workers: Place[] = [];
  readonly gateways: Place[] = [];
  readonly #domain: string;

  private constructor(domain: string) {
    this.#domain = domain;
  }

  static async start(options: RealOptions = {}): Promise<RealPlatform> {
    const platform = new RealPlatform(options.domain ?? "localhost");
    try {
      await platform.#start(options);
    } catch (error) {
      await platform.stop();
      throw error;
    }
    return platform;
  }

  keyFile(name: "member" | "gateway"): string {
    return join(this.data, "keys", `${name}.key`);
  }

  /** The operators' API, asked of the first replica. */
  async cp(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.controls[0]?.url}/api/cp${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }

  /** Through a gateway, by host name. */
  ask(host: string, path: string, init: RequestInit = {}, gateway = this.gateways[0]): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("host", host);
    return fetch(`${gateway?.url}${path}`, { ...init, headers });
  }

  /** A tenant with an open collection `notes` of `tag` and `n`; returns its superuser's token. */
  async createTenant(slug: string): Promise<string> {
    await this.cp("POST", "/tenants", { slug });
    await eventually(() =>
      this.cp("POST", `/tenants/${slug}/superusers`, { email: ROOT_EMAIL, password: ROOT_PASSWORD }),
    );
    const host = `${slug}.${this.#domain}`;
    const json = { "content-type": "application/json" };
    const login = await this.ask(host, "/api/collections/_superusers/auth-with-password", {
      method: "POST",
      headers: json,
      body: JSON.stringify({ identity: ROOT_EMAIL, password: ROOT_PASSWORD }),
    });
    const { token } = (await login.json()) as { token: string };
    const made = await this.ask(host, "/api/collections", {
      method: "POST",
      headers: { ...json, authorization: token },
      body: JSON.stringify({
        name: "notes",
        type: "base",
        listRule: "",
        createRule: "",
        fields: [
          { name: "tag", type: "text" },
          { name: "n", type: "number" },
        ],
      }),
    });
    if (!made.ok) throw new Error(`Cannot make a collection: ${made.status} ${await made.text()}`);
    return token;
  }

  async stop(): Promise<void> {
    const places = [...this.gateways, ...this.workers, ...this.controls];
    for (const { process } of places) process.killAll();
    await Promise.all(places.map(({ process }) => process.exited));
    rmSync(this.data, { recursive: true, force: true });
  }

  async #start(options: RealOptions): Promise<void> {
    const { controls = 1, workers = 1, gateways = ["bun"] } = options;
    mkdirSync(join(this.data, "keys"));
    writeFileSync(this.keyFile("member"), newKey("member-1"), { mode: 0o600 });
    writeFileSync(this.keyFile("gateway"), newKey("gateway-1"), { mode: 0o600 });
    const ports = await Promise.all(Array.from({ length: controls }, freePort));
    const cluster = ports.map((port, i) => `m${i}=http://127.0.0.1:${port}`).join(",");
    const common = (data = this.data) => ["--data", data, "--store", `file:${join(this.data, "store")}`];
    const places = await Promise.all(
      ports.map((port, i) =>
        place(`control ${i}`, "control ready on ", () => [
          bin("bun"),
          "control/main.ts",
          ...(controls === 1 ? common() : common(this.#replica(i))),
          ...["--listen", `127.0.0.1:${port}`, "--domain", this.#domain],
          ...(controls === 1 ? [] : ["--member-id", `m${i}`, "--cluster", cluster]),
          ...(options.controlOptions ?? []),
        ]),
      ),
    );
    this.controls.push(...places);
    const urls = this.controls.map(({ url }) => url).join(",");
    for (let i = 0; i < workers; i++) {
      const directory = join(this.data, `worker-${i}`);
      this.workers.push(
        await place(`worker ${i}`, "worker ready on ", (address) => [
          bin("bun"),
          "worker/main.ts",
          ...common(),
          ...["--listen", address ?? "127.0.0.1:0", "--worker-data", directory, "--control", urls],
        ]),
      );
    }
    for (const [i, runtime] of gateways.entries()) {
      const main =
        runtime === "bun"
          ? [bin("bun"), "gateway/adapters/bun-main.ts"]
          : [
              bin("deno"),
              "run",
              ...DENO,
              `--allow-read=${this.data}`,
              `--allow-write=${this.data}`,
              "gateway/main.ts",
            ];
      this.gateways.push(
        await place(`gateway ${i}`, "gateway ready on ", (address) => [
          ...main,
          ...["--data", this.data, "--domain", this.#domain, "--control", urls],
          ...["--listen", address ?? "127.0.0.1:0"],
          ...(options.gatewayOptions ?? []),
        ]),
      );
    }
  }

  /** Replicas on one machine have a directory each, with the same keys in it. */
  #replica(i: number): string {
    const directory = join(this.data, `control-${i}`);
    mkdirSync(directory, { recursive: true });
    cpSync(join(this.data, "keys"), join(directory, "keys"), { recursive: true });
    return directory;
  }
}

async function place(
  name: string,
  ready: string,
  command: (address: string | undefined) => string[],
): Promise<Place> {
  const launch = (address?: string): Running =>
    run(command(address), { MANYBASE_LOG_LEVEL: "info", MANYBASE_OPERATOR_TOKEN: TOKEN });
  const process = launch();
  const self: Place = {
    name,
    process,
    url: await process.line(ready),
    async restart() {
      self.process = launch(new URL(self.url).host);
      await self.process.line(ready);
    },
  };
  return self;
}

export async function freePort(): Promise<number> {
  const probe = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const port = probe.port ?? 0;
  await probe.stop(true);
  return port;
}
