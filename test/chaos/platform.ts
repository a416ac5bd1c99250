import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import PocketBase from "pocketbase";
import { temporaryDirectory } from "../e2e/all-in-one.ts";
import { type Running, bin, eventually, finish, run } from "../e2e/process.ts";

const TOKEN = `mbo_${"c".repeat(40)}`;
const EMAIL = "root@example.com";
const PASSWORD = "root-password-1";

export interface PlatformOptions {
  workers: number;
  /** Of the object store; a directory of its own when absent. */
  store?: string;
  /** For the store's credentials. */
  environment?: Record<string, string>;
}

/** A worker's place: the process in it changes, its directory stays. */
export interface Seat {
  readonly name: string;
  process: Running;
}

/** Control, workers and gateway, each a real process, as on several machines. */
export class Platform {
  readonly seats: Seat[] = [];
  readonly #data = temporaryDirectory();
  readonly #options: PlatformOptions;
  #control: Running | undefined;
  #gateway: Running | undefined;
  #controlUrl = "";
  #gatewayUrl = "";

  private constructor(options: PlatformOptions) {
    this.#options = options;
  }

  static async start(options: PlatformOptions): Promise<Platform> {
    const platform = new Platform(options);
    try {
      await platform.#start();
    } catch (error) {
      await platform.stop();
      throw error;
    }
    return platform;
  }

  /** A superuser's client of a new tenant with an empty collection `notes`. */
  async createTenant(slug: string): Promise<PocketBase> {
    for (const words of [
      ["tenants", "create", slug],
      ["tenants", "superuser", slug, EMAIL, PASSWORD],
    ]) {
      const { status, errors } = await this.#manybase(...words);
      if (status !== 0) throw new Error(`manybase ${words.join(" ")}: ${errors}`);
    }
    const client = new PocketBase(this.#gatewayUrl.replace("127.0.0.1", `${slug}.localhost`));
    client.autoCancellation(false);
    await client.collection("_superusers").authWithPassword(EMAIL, PASSWORD);
    await client.collections.create({
      name: "notes",
      type: "base",
      fields: [{ name: "n", type: "number" }],
    });
    return client;
  }

  /** A process in that seat, on the directory of the one before it. */
  async startWorker(name: string): Promise<Running> {
    const worker = run(
      [
        bin("bun"),
        "worker/main.ts",
        ...this.#common(),
        "--worker-data",
        join(this.#data, name),
        "--control",
        this.#controlUrl,
      ],
      this.#environment(),
    );
    await worker.line("worker ready on ");
    return worker;
  }

  /** At the address where it was, if there was one. */
  async startControl(): Promise<void> {
    const listen = this.#controlUrl === "" ? [] : ["--listen", new URL(this.#controlUrl).host];
    this.#control = run([bin("bun"), "control/main.ts", ...this.#common(), ...listen], {
      ...this.#environment(),
      MANYBASE_OPERATOR_TOKEN: TOKEN,
    });
    this.#controlUrl = await this.#control.line("control ready on ");
  }

  async killControl(): Promise<void> {
    this.#control?.kill("SIGKILL");
    await this.#control?.exited;
  }

  async stop(): Promise<void> {
    const processes = [this.#gateway, ...this.seats.map(({ process }) => process), this.#control];
    const running = processes.filter((process) => process !== undefined);
    for (const process of running) process.killAll();
    await Promise.all(running.map(({ exited }) => exited));
    rmSync(this.#data, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    mkdirSync(this.#data, { recursive: true });
    await this.startControl();
    for (let i = 0; i < this.#options.workers; i++) {
      const name = `worker-${i}`;
      this.seats.push({ name, process: await this.startWorker(name) });
    }
    this.#gateway = run(
      [bin("deno"), "run", "gateway", "--listen", "127.0.0.1:0", "--control", this.#controlUrl],
      {
        MANYBASE_GATEWAY_KEY: await Bun.file(join(this.#data, "keys/gateway.key")).text(),
      },
    );
    this.#gatewayUrl = await this.#gateway.line("gateway ready on ");
    await eventually(async () => {
      const { status } = await this.#manybase("workers", "list");
      if (status !== 0) throw new Error("the platform is not up yet");
    });
  }

  #common(): string[] {
    const { store } = this.#options;
    const options = ["--data", this.#data, "--listen", "127.0.0.1:0"];
    return store === undefined ? options : [...options, "--store", store];
  }

  #environment(): Record<string, string> {
    return { MANYBASE_LOG_LEVEL: "warn", ...this.#options.environment };
  }

  #manybase(...words: string[]): Promise<{ status: number; output: string; errors: string }> {
    return finish([bin("bun"), "run", "--silent", "manybase", ...words, "--json"], {
      MANYBASE_CONTROL: this.#gatewayUrl.replace("127.0.0.1", "admin.localhost"),
      MANYBASE_TOKEN: TOKEN,
    });
  }
}
