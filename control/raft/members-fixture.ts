/** For tests: members with real logs, listeners and links in one process. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SystemError } from "../../shared/errors.ts";
import { parseKeyring } from "../../shared/protocol/keys.ts";
import { base64Url } from "../../shared/protocol/mac.ts";
import { type LinkServer, listen } from "../listen.ts";
import type { ReplicatedStore } from "../store/contract.ts";
import { type OpenMember, openMember } from "./cluster.ts";

export const newKeys = () =>
  parseKeyring(`test-1:${base64Url(crypto.getRandomValues(new Uint8Array(32)))}`, "test key");

interface Running {
  directory: string;
  server: LinkServer;
  stop: AbortController;
  member: OpenMember | undefined;
}

export class TestMembers {
  readonly keys = newKeys();
  readonly ids: string[];
  readonly problems: SystemError[] = [];
  readonly failures: SystemError[] = [];
  readonly #running = new Map<string, Running>();
  readonly #snapshotEvery: number;

  constructor(count: number, snapshotEvery = 50) {
    this.ids = Array.from({ length: count }, (_, i) => `m${i + 1}`);
    this.#snapshotEvery = snapshotEvery;
  }

  async start(): Promise<void> {
    for (const id of this.ids) {
      const directory = await mkdtemp(join(tmpdir(), "manybase-members-"));
      this.#running.set(id, {
        directory,
        server: this.#listen(id),
        stop: new AbortController(),
        member: undefined,
      });
    }
    for (const id of this.ids) await this.open(id);
  }

  url(id: string): string {
    return `http://127.0.0.1:${this.#of(id).server.port}`;
  }

  store(id: string): ReplicatedStore {
    const { member } = this.#of(id);
    if (member === undefined) throw new Error(`${id} is down`);
    return member.store;
  }

  directory(id: string): string {
    return this.#of(id).directory;
  }

  /** Another member's slot, not started yet. */
  async add(id: string): Promise<void> {
    this.ids.push(id);
    const directory = await mkdtemp(join(tmpdir(), "manybase-members-"));
    this.#running.set(id, {
      directory,
      server: this.#listen(id),
      stop: new AbortController(),
      member: undefined,
    });
  }

  /** On what it has; a new one founds, or starts empty as a learner that `founders` have added. */
  async open(id: string, founders: readonly string[] = this.ids, joins?: string): Promise<void> {
    const running = this.#of(id);
    running.stop = new AbortController();
    running.member = await openMember({
      directory: running.directory,
      memberId: id,
      url: this.url(id),
      ...(joins === undefined
        ? { founders: new Map(founders.map((other) => [other, this.url(other)])) }
        : { join: this.url(joins) }),
      keys: this.keys,
      snapshotEvery: this.#snapshotEvery,
      stopping: running.stop.signal,
      onFailure: (error) => this.failures.push(error),
      onMet: () => undefined,
      onProblem: (error) => this.problems.push(error),
    });
  }

  /** On an empty directory, as a learner that was added. */
  async join(id: string): Promise<void> {
    await this.open(
      id,
      undefined,
      this.ids.find((other) => other !== id && this.#of(other).member !== undefined),
    );
  }

  async close(id: string): Promise<void> {
    const running = this.#of(id);
    running.stop.abort();
    await running.member?.store.close();
    running.member = undefined;
  }

  async wipe(id: string): Promise<void> {
    await rm(this.#of(id).directory, { recursive: true, force: true });
  }

  /** Waits until one leads and every open member knows it. */
  async leader(): Promise<string> {
    for (let i = 0; i < 1_000; i++) {
      const open = this.ids.filter((id) => this.#of(id).member !== undefined);
      const seen = await Promise.all(open.map(async (id) => (await this.store(id).health()).leader));
      const [leader] = seen;
      if (leader !== undefined && open.includes(leader) && seen.every((other) => other === leader))
        return leader;
      await Bun.sleep(10);
    }
    throw new Error("nobody leads");
  }

  async dispose(): Promise<void> {
    for (const id of this.ids) {
      await this.close(id);
      const { server, directory } = this.#of(id);
      await server.stop(true);
      await rm(directory, { recursive: true, force: true });
    }
  }

  #listen(id: string): LinkServer {
    return listen({ hostname: "127.0.0.1", port: 0 }, (request, server) => {
      const { member } = this.#of(id);
      if (member === undefined) return new Response(null, { status: 503 });
      return request.headers.has("upgrade")
        ? member.accept(request, server)
        : this.#members(member.store, request);
    });
  }

  /** As much of control's `/v1/members` as a member that joins asks for. */
  async #members(store: ReplicatedStore, request: Request): Promise<Response> {
    if (request.url.includes("/link")) return new Response(null, { status: 401 });
    const { cluster } = await store.health();
    return Response.json({ cluster, members: await store.members() });
  }

  #of(id: string): Running {
    const running = this.#running.get(id);
    if (running === undefined) throw new Error(`no member ${id}`);
    return running;
  }
}
