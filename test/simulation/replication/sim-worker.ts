import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Database } from "bun:sqlite";
import { SystemError } from "../../../shared/errors.ts";
import { DATA_DB, type Epoch, type Incarnation, type TenantId, hex16 } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { tenantPrefix } from "../../../shared/objects/layout.ts";
import type { ReleaseResponse } from "../../../shared/protocol/internal.ts";
import { Departures } from "../../../worker/member/departures.ts";
import { Visitors } from "../../../worker/member/visitors.ts";
import { inlineWork } from "../../../worker/replication/bulk/inline.ts";
import type { BulkChunks, BulkWork } from "../../../worker/replication/bulk/work.ts";
import type { Clock } from "../../../worker/replication/clock.ts";
import { Lease } from "../../../worker/control-client/lease.ts";
import type { Tenant } from "../../../worker/tenant/contract.ts";
import { type TenantHost, createTenantHost } from "../../../worker/tenant/host.ts";
import type { LoadedTenant } from "../../../worker/tenant/loaded-tenant.ts";
import { type Answer, type Operation, TABLE, carryOut } from "./operations.ts";
import { Actor } from "./schedule.ts";
import { COUNTER } from "./state-judge.ts";
import { violated } from "./violation.ts";
import type { World } from "./world.ts";

interface Session {
  incarnation: Incarnation;
  host: TenantHost;
  lease: Lease;
  departures: Departures;
  /** What was called by test only: tenants as they were loaded. */
  loaded: Map<TenantId, LoadedTenant>;
}

/**
 * A hole is none of them: in a run of seconds that stand for days, a file may be removed while it is read. If the hole stays, the
 * end of the run finds it.
 */
const BROKEN = new Set(["object_corrupt", "log_corrupt", "tenant_missing", "object_foreign"]);

const importing = new WeakSet<Tenant>();

/** Few are: some tenants must be without a change for longer than it is from one DIRECTORY to the next. */
const COUNTED_EVERY = 7;

/** A worker's process: the real host, with a lease, beats and registrations as worker/session.ts has them. */
export class SimulatedWorker {
  readonly actor: Actor;
  session: Session | undefined;
  /** Somebody else checkpointed one of its databases: tenants may stop. */
  disturbed = false;
  frozenAs: Incarnation | undefined;
  readonly #counts = new WeakMap<Tenant, () => void>();
  /** Tenants whose counters it said that it could not read. */
  readonly #uncounted = new Set<TenantId>();
  #draining = false;
  #left = false;
  #previous: Incarnation | undefined;
  readonly #world: World;
  readonly directory: string;

  constructor(world: World, name: string, directory: string, previous: Incarnation | undefined) {
    this.#world = world;
    this.actor = new Actor(name);
    this.directory = directory;
    this.#previous = previous;
    mkdirSync(directory, { recursive: true });
  }

  get incarnation(): Incarnation | undefined {
    return this.session?.incarnation;
  }

  /** Registers, and again whenever its incarnation is over. */
  start(): void {
    void this.#begin();
  }

  /** As kill -9: nothing of it happens any more, but what is on the network. */
  kill(): void {
    this.#world.schedule.kill(this.actor);
    this.session?.host.abandon();
  }

  /** A clean exit, which may fail like anything else; then it is as if it was killed. */
  async leave(): Promise<void> {
    const { session } = this;
    if (session === undefined || this.#draining) return;
    this.#draining = true;
    try {
      const exit = await session.host.stop();
      // As in worker/session.ts: no beat may tell of the slot of the SEAL.
      this.#left = true;
      await this.#world.tellControl(this.actor, "exit", (control) => control.exit(session.incarnation, exit));
      this.#world.coverage.add("clean exits");
    } catch {
      // Its lease runs out.
    }
    if (this.actor.state !== "dead") this.#world.gone(this);
  }

  async serve(id: TenantId, epoch: Epoch, operation: Operation, op: number): Promise<Answer> {
    const { session } = this;
    if (session === undefined) throw new SystemError("worker_starting", "Cannot serve: not registered");
    const tenant = await session.host.acquire(id, epoch);
    if (op % COUNTED_EVERY === 0) this.#counts.get(tenant)?.();
    const { schedule, random, coverage, expectations } = this.#world;
    const isAsync = this.#world.isAsync(id);
    const isAllowed =
      operation === "import"
        ? // A row's number tells how new it is, so no import may overtake another.
          this.#world.mayImport(id) && !importing.has(tenant)
        : operation !== "branch" || id !== this.#world.points.founded;
    const allowed = isAllowed ? operation : "write";
    const desk = {
      actor: this.actor,
      schedule,
      random,
      coverage,
      expectations,
      directory: this.directory,
      points: this.#world.points,
      isAsync,
    };
    if (allowed === "import") importing.add(tenant);
    try {
      return await carryOut(desk, tenant, allowed, op);
    } finally {
      if (allowed === "import") importing.delete(tenant);
    }
  }

  async release(incarnation: Incarnation, id: TenantId, epoch: Epoch): Promise<ReleaseResponse> {
    const { session } = this;
    if (session?.incarnation !== incarnation)
      throw new SystemError("worker_lost", "Cannot release: another one");
    const answer = await session.departures.release(id, epoch);
    this.#world.history.states.left(id, epoch, incarnation);
    return answer;
  }

  /** Compares what an owner has with what it logged, by the image that a snapshot would be made of. */
  async compareImage(): Promise<void> {
    const { session } = this;
    const tenants = [...(session?.loaded.values() ?? [])].filter(
      ({ lost, ready }) => lost === undefined && ready,
    );
    if (tenants.length === 0) return;
    const tenant = this.#world.random.pick(tenants);
    const database = this.#world.random.pick([...tenant.databases.values()]);
    const found = await database.cuts.image().catch(() => undefined);
    if (found === undefined || this.actor.state !== "up") return;
    this.#world.coverage.add("images compared");
    this.#world.history.checkImage(
      tenant.id,
      database.name,
      found.txid,
      found.image,
      `the copy of ${this.actor.name}`,
    );
  }

  /**
   * As a tool that somebody ran beside the worker, against all advice.
   * @param clean - also where nothing waits to be captured @returns whose it was
   */
  checkpointBeside(clean: boolean): TenantId | undefined {
    const tenants = [...(this.session?.loaded.values() ?? [])].filter(
      ({ lost, ready, isDirty }) => lost === undefined && ready && (isDirty || clean),
    );
    if (tenants.length === 0) return undefined;
    this.disturbed = true;
    const tenant = this.#world.random.pick(tenants);
    const { path } = tenant.database(DATA_DB);
    const mode = this.#world.random.pick(["PASSIVE", "RESTART", "TRUNCATE"]);
    const db = new Database(path, { readwrite: true, create: false });
    db.run("PRAGMA busy_timeout = 0");
    try {
      db.query(`PRAGMA wal_checkpoint(${mode})`).all();
    } finally {
      db.close();
    }
    this.#world.coverage.add("foreign checkpoints");
    return tenant.id;
  }

  async #begin(): Promise<void> {
    const world = this.#world;
    while (this.actor.state !== "dead" && !this.#draining) {
      const nonce = world.newNonce();
      const lease = new Lease(() => world.schedule.nowMs);
      const sentMs = world.schedule.nowMs;
      let incarnation: Incarnation;
      try {
        const previous = this.#previous;
        incarnation = await world.tellControl(this.actor, "register", (control) =>
          control.register(nonce, previous),
        );
      } catch {
        await world.sleep(this.actor, limits.restartDelayMsMin);
        continue;
      }
      this.#previous = undefined;
      lease.renew(sentMs, limits.leaseMs);
      const host = this.#host(incarnation, nonce, lease);
      const visitors = new Visitors(host, () => world.schedule.nowMs);
      const loaded = new Map<TenantId, LoadedTenant>();
      this.session = { incarnation, host, lease, departures: new Departures(host, visitors), loaded };
      await this.#beat(this.session);
      this.session = undefined;
      host.abandon();
      if (this.frozenAs === incarnation) world.coverage.add("frozen workers that woke as nobody");
    }
  }

  /** @returns when the incarnation is over */
  async #beat({ incarnation, host, lease }: Session): Promise<void> {
    const world = this.#world;
    while (!host.fenced.aborted && !this.#left) {
      const sentMs = world.schedule.nowMs;
      const draining = this.#draining;
      const seq = host.durableSeq;
      try {
        const state = await world.tellControl(this.actor, "beat", (control) =>
          control.beat(incarnation, seq, draining),
        );
        if (state === "dead") return;
        lease.renew(sentMs, limits.leaseMs);
      } catch {
        // The lease runs out by itself.
      }
      await world.sleep(this.actor, Math.max(1, limits.beatMs - (world.schedule.nowMs - sentMs)));
    }
  }

  #host(incarnation: Incarnation, nonce: string, lease: Lease): TenantHost {
    const world = this.#world;
    return createTenantHost({
      directory: this.directory,
      store: world.store.as(this.actor),
      keyProvider: world.keys.provider(this.actor),
      randomBytes: world.keys.randomBytes,
      incarnation,
      nonce,
      clock: this.#clock(),
      newNonce: () => world.newNonce(),
      bulkWork: this.#bulkWork(),
      bootstrap: (tenant) => this.#bootstrap(incarnation, tenant),
      onError: (error, tenant) => this.#failed(error, tenant),
      control: {
        assignment: (tenant) =>
          world.tellControl(this.actor, "assignment", (control) => control.assignment(incarnation, tenant)),
        report: (reports) =>
          world.tellControl(this.actor, "report", (control) => control.report(incarnation, reports)),
        mayAnswer: () => lease.held,
      },
    });
  }

  /** What is done in this thread, but a cut takes time: commits go on beside it. */
  #bulkWork(): BulkWork {
    const world = this.#world;
    const sleep = (): Promise<void> => world.sleep(this.actor, world.random.next() * 15);
    return {
      async run(kind, job, chunks, signal) {
        if (kind !== "pages") return inlineWork.run(kind, job, chunks, signal);
        world.coverage.add("cuts over several turns");
        const slow: BulkChunks = {
          async next(input) {
            await sleep();
            signal.throwIfAborted();
            return chunks.next(input);
          },
        };
        return inlineWork.run(kind, job, slow, signal);
      },
    };
  }

  #clock(): Clock {
    const { schedule, random } = this.#world;
    return {
      nowMs: () => Date.UTC(2026, 0, 1) + Math.floor(schedule.nowMs),
      monotonicMs: () => schedule.nowMs,
      after: (delayMs, run) => schedule.at(this.actor, delayMs, "timer", run),
      soon: (run) => void schedule.at(this.actor, 0, "soon", run),
      random: () => random.next(),
    };
  }

  /** The first look at what was restored, before anything writes to it. */
  async #bootstrap(incarnation: Incarnation, tenant: Tenant): Promise<void> {
    const world = this.#world;
    const loaded = tenant as LoadedTenant;
    const again = this.session?.loaded.get(tenant.id) === loaded;
    if (!again) {
      this.session?.loaded.set(tenant.id, loaded);
      this.#resumeCounter(incarnation, loaded);
      this.#compareFiles(incarnation, loaded);
      this.#compareRows(incarnation, loaded);
    }
    await tenant.data.write(tenant.observe(), (tx) => {
      if (tx.get("SELECT 1 FROM sqlite_schema WHERE name = 'notes'") === undefined) tx.exec(TABLE);
    });
    world.coverage.add("loads");
    if (tenant.id === world.points.founded) world.coverage.add("loads of branches");
  }

  #resumeCounter(incarnation: Incarnation, tenant: LoadedTenant): void {
    const { control, history } = this.#world;
    const { id, epoch } = tenant;
    let text: string | undefined;
    const carried = tenant.carry(COUNTER, () => text);
    const { given } = carried;
    text = given;
    const tails = control.owns(incarnation, id, epoch) ? control.tenant(id).tails : undefined;
    const excused = this.#uncounted.delete(id);
    history.states.loaded({ tenant: id, epoch, incarnation, given, tails, excused });
    this.#counts.set(tenant, () => {
      text = history.states.count(id, epoch, incarnation);
      carried.changed();
    });
  }

  #compareFiles(incarnation: Incarnation, tenant: LoadedTenant): void {
    const world = this.#world;
    const inherited = new Set<unknown>(tenant.tailsToClear);
    if (inherited.size > 0) world.coverage.add("restores from tails");
    if (inherited.size > 1) world.coverage.add("restores from several tails");
    for (const [name, { position }] of tenant.databases) {
      const { txid } = position.captured;
      if (txid === 0) continue;
      const image = readFileSync(join(this.directory, hex16(incarnation), tenant.id, name));
      world.coverage.add("files compared");
      world.history.checkImage(tenant.id, name, txid, image, `the restore of ${this.actor.name}`);
      const { origin } = world.control.tenant(tenant.id);
      if (origin?.databases[name] === txid) world.coverage.add("branches loaded at their point");
    }
  }

  /** Only the owner's copy must have everything: who was overtaken while it loaded cannot answer. */
  #compareRows(incarnation: Incarnation, tenant: LoadedTenant): void {
    const world = this.#world;
    if (!world.control.owns(incarnation, tenant.id, tenant.epoch)) return;
    tenant.data.read(tenant.observe(), (db) => {
      const exists = db.get("SELECT 1 FROM sqlite_schema WHERE name = 'notes'") !== undefined;
      const first = exists ? (db.get<{ id: number }>("SELECT min(id) AS id FROM notes")?.id ?? 0) : 0;
      const chainOf = (id: number): number | undefined =>
        exists ? db.get<{ chain: number }>("SELECT chain FROM notes WHERE id = ?", [id])?.chain : undefined;
      world.expectations.loaded(tenant.id, first, chainOf, `the owner ${this.actor.name}`);
    });
  }

  #failed(error: unknown, tenant: TenantId): void {
    const world = this.#world;
    const { code, message } = error as { code?: unknown; message: string };
    if (message.startsWith("Cannot resume the counters")) {
      this.#uncounted.add(tenant);
      world.note(message);
      return;
    }
    world.coverage.add("tenants stopped");
    world.note(`${this.actor.name} stops ${tenant}: ${(error as Error).message}`);
    if (code === "wal_lost" && !this.disturbed) {
      violated(`${this.actor.name} lost the WAL of ${tenant} by itself: ${(error as Error).message}`);
    }
    const unexplained = code === "internal" || !(error instanceof SystemError) || BROKEN.has(String(code));
    const hidden = [...world.store.everHidden].some((key) => key.startsWith(tenantPrefix(tenant)));
    if (unexplained && !hidden) {
      violated(`${this.actor.name} stopped ${tenant}: ${(error as Error).stack}`);
    }
  }
}
