import { createHash } from "node:crypto";
import { heapStats } from "bun:jsc";
import { sweepOnce } from "../../../control/liveness/housekeeping.ts";
import { PREFIXES, slugKey, tenantKey } from "../../../control/domain/keys.ts";
import type { TenantRecord } from "../../../control/domain/records.ts";
import type { SnapshotCadence } from "../../../control/raft/driver/snapshot-cadence.ts";
import { SnapshotStore } from "../../../control/raft/log/snapshot-store.ts";
import { SystemError } from "../../../shared/errors.ts";
import { type Incarnation, type Slug, newTenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { pino } from "pino";
import { Random } from "../random.ts";
import { VirtualClock } from "../virtual-clock.ts";
import type { SimulatedDisk } from "./disk.ts";
import { during } from "./during.ts";
import { SimulatedMembers } from "./members.ts";
import {
  type NewTenant,
  TENANTS_PER_TXN,
  assign,
  createAll,
  move,
  registerWorkers,
} from "./tenant-commands.ts";
import { type TenantMember, openTenantMember } from "./tenant-member.ts";

export interface ManyTenants {
  seed: number;
  tenants: number;
  cadence: SnapshotCadence;
  /** Entries kept behind a snapshot. */
  keepEntries: number;
  say: (line: string) => void;
}

export interface ManyTenantsReport {
  tenants: number;
  revision: number;
  /** Of the live heap: what goes with one member, and all of it. */
  memberBytes: number;
  allBytes: number;
  residentBytes: number;
  /** Of all three. */
  diskBytes: number;
  snapshotBytes: number;
  snapshotsTaken: number;
  snapshotsInstalled: number;
  moved: number;
  /** Of the event loop, by one piece of a snapshot. */
  stallMs: number;
}

const LANES = 16;
const WORKERS = 3;
/** Control keeps house every minute. */
const CREATED_BETWEEN_SWEEPS = 25_000;
/** Of virtual time. */
const PATIENCE_MS = 3_600_000;
/** Of all tenants, this part gets a worker, and then another one. */
const ASSIGNED_PART = 1_000;

/**
 * Three members whose tables and state machines hold that many tenants, by the domain's own commands on the real driver, log and
 * snapshots: creations while a member is away for so long that it needs a snapshot, moves while the leader is killed, and then every
 * replica must hold every acknowledged change, the same as the others. @throws when one does not
 */
export async function runManyTenants(options: ManyTenants): Promise<ManyTenantsReport> {
  const world = new World(options);
  await world.during(world.found());
  const half = Math.floor(options.tenants / 2);
  const workers = await world.during(world.register());
  await world.during(world.create(0, half));
  options.say(`${half} tenants are there; one member goes`);
  const away = world.follower();
  world.crash(away);
  const killed = world.kill();
  await world.during(world.create(half, options.tenants));
  await world.during(killed);
  options.say(`${options.tenants} tenants are there; the member comes back`);
  await world.during(world.restart(away));
  await world.during(world.caughtUp());
  collect();
  if (world.members.network.snapshots === 0) throw new Error("the member needed no snapshot");
  const killedAgain = world.kill();
  const moved = await world.during(world.moveSome(workers));
  await world.during(killedAgain);
  await world.during(world.caughtUp());
  collect();
  options.say(`${moved.size} tenants were moved; the members are compared`);
  world.compare(moved);
  return world.measure(moved.size);
}

export function describeManyTenants(report: ManyTenantsReport): string {
  const { tenants, memberBytes, allBytes, diskBytes, snapshotBytes, stallMs } = report;
  const mebibytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
  return (
    `${tenants} tenants on three simulated members: one member's state ${mebibytes(memberBytes)} of live memory ` +
    `(${(memberBytes / tenants).toFixed(0)} bytes a tenant), all of this process ${mebibytes(allBytes)}, of which its simulated disks hold ` +
    `${mebibytes(diskBytes)}; ${mebibytes(report.residentBytes)} resident at the end; ${report.snapshotsTaken} snapshots, the last ` +
    `${mebibytes(snapshotBytes)}, ${report.snapshotsInstalled} sent to a member; longest stall of encoding ${stallMs.toFixed(1)} ms; ` +
    `${report.moved} moves; revision ${report.revision}; all members hold the same`
  );
}

/** Measures how long each piece of a snapshot keeps everybody else waiting. */
class TimedSnapshots extends SnapshotStore {
  readonly #note: (stallMs: number, bytes: number) => void;

  constructor(disk: SimulatedDisk, note: (stallMs: number, bytes: number) => void) {
    super(disk);
    this.#note = note;
  }

  override save(...[position, chunks, signal]: Parameters<SnapshotStore["save"]>): Promise<Uint8Array> {
    return super.save(position, timed(chunks, this.#note), signal);
  }
}

function* timed(
  chunks: Iterable<Uint8Array>,
  note: (stallMs: number, bytes: number) => void,
): Generator<Uint8Array> {
  const next = chunks[Symbol.iterator]();
  for (let bytes = 0; ;) {
    const startedMs = performance.now();
    const chunk = next.next();
    bytes += chunk.value?.length ?? 0;
    note(performance.now() - startedMs, chunk.done ? bytes : 0);
    if (chunk.done) return;
    yield chunk.value;
  }
}

class World {
  readonly clock = new VirtualClock();
  readonly members: SimulatedMembers;
  readonly #options: ManyTenants;
  readonly #random: Random;
  readonly #open = new Map<string, TenantMember>();
  readonly #tenants: NewTenant[];
  #stallMs = 0;
  #snapshotBytes = 0;
  #snapshotsTaken = 0;
  constructor(options: ManyTenants) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.members = new SimulatedMembers(this.clock, this.#random, {
      ...{ count: 3, snapshotEvery: options.cadence.entries, keepEntries: options.keepEntries },
      cadence: options.cadence,
      ...{ diskDelayMs: 1, segmentBytes: limits.raftSegmentBytes },
      snapshots: (disk) =>
        new TimedSnapshots(disk, (stallMs, bytes) => {
          this.#stallMs = Math.max(this.#stallMs, stallMs);
          if (bytes === 0) return;
          this.#snapshotBytes = bytes;
          this.#snapshotsTaken += 1;
        }),
    });
    const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => this.#random.below(256));
    this.#tenants = Array.from({ length: options.tenants }, (_, i) => {
      return { id: newTenantId(bytes), slug: `tenant-${i}` as Slug };
    });
  }

  /** Lets time pass until the work is done. */
  during<T>(work: Promise<T>): Promise<T> {
    return during(this.clock, work, PATIENCE_MS);
  }

  async found(): Promise<void> {
    await this.members.found();
    for (const id of this.members.ids) await this.#start(id);
  }

  register(): Promise<Incarnation[]> {
    return this.#insist(({ runner, clock }) => registerWorkers(runner, clock, WORKERS));
  }

  async create(from: number, to: number): Promise<void> {
    for (let at = from; at < to; at += CREATED_BETWEEN_SWEEPS) {
      await this.#createSome(at, Math.min(at + CREATED_BETWEEN_SWEEPS, to));
      await this.#insist((member) =>
        sweepOnce({ ...member, log: pino({ level: "silent" }) }, AbortSignal.timeout(600_000)),
      );
      collect();
    }
  }

  async #createSome(from: number, to: number): Promise<void> {
    let next = from;
    const lane = async (): Promise<void> => {
      while (next < to) {
        const some = this.#tenants.slice(next, Math.min(next + TENANTS_PER_TXN, to));
        next += some.length;
        await this.#insist(({ runner }) => runner.run(createAll(some, () => runner.meta("simulation"))));
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  /** Each is assigned and moved once; epochs say so. */
  async moveSome(workers: readonly Incarnation[]): Promise<Map<NewTenant, Incarnation>> {
    const count = Math.ceil(this.#options.tenants / ASSIGNED_PART);
    const chosen = Array.from({ length: count }, (_, i) => this.#tenants[i * ASSIGNED_PART]!);
    const moved = new Map<NewTenant, Incarnation>();
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let one = chosen[next++]; one !== undefined; one = chosen[next++]) {
        const { id } = one;
        const { owner } = await this.#insist(({ runner }) => assign(runner, id));
        const to = workers.find((worker) => worker !== owner?.incarnation)!;
        await this.#insist(({ runner }) => move(runner, id, to));
        moved.set(one, to);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    return moved;
  }

  follower(): string {
    return this.members.ids.find((id) => !this.members.leads(id))!;
  }

  crash(id: string): void {
    this.#open.get(id)?.stop();
    this.#open.delete(id);
    this.members.crash(id);
  }

  async restart(id: string): Promise<void> {
    await this.members.restart(id);
    await this.#follow(id);
  }

  /** The leader, as soon as there is one; it is back after two seconds. */
  async kill(): Promise<void> {
    await this.#sleep(500);
    let leader: string | undefined;
    while ((leader = this.members.ids.find((id) => this.members.leads(id))) === undefined)
      await this.#sleep(50);
    this.crash(leader);
    await this.#sleep(2_000);
    await this.restart(leader);
  }

  async caughtUp(): Promise<void> {
    for (;;) {
      const tables = this.members.ids.map((id) => this.#open.get(id)?.table.revision ?? -1);
      if (new Set(tables).size === 1 && (await this.#isNewest(tables[0] ?? -1))) return;
      await this.#sleep(100);
    }
  }

  /** @throws when members differ, or from what was acknowledged */
  compare(moved: ReadonlyMap<NewTenant, Incarnation>): void {
    const digests = new Set<string>();
    for (const id of this.members.ids) {
      const { machine } = this.members.replica(id)!;
      const { table } = this.#open.get(id)!;
      const hash = createHash("sha256");
      let inTable = 0;
      for (let from: string | undefined, more = true; more;) {
        const page = machine.range("", from, 1_000);
        for (const { key, text, modRev } of page.rows) {
          hash.update(`${key}\0${text}\0${modRev}\n`);
          if (key.startsWith(PREFIXES.audit)) continue;
          inTable += 1;
          if (table.modRev(key) !== modRev)
            throw new Error(`${id}: the table does not have ${key} at ${modRev}`);
        }
        from = page.next;
        more = from !== undefined;
      }
      if (table.rows().length !== inTable)
        throw new Error(`${id}: the table has rows that the store has not`);
      digests.add(hash.digest("hex"));
      this.#compareTenants(id, table, moved);
      collect();
    }
    if (digests.size !== 1) throw new Error("the members' states differ");
  }

  /** The live heap with all members, and without one of them. */
  measure(moved: number): ManyTenantsReport {
    const { revision } = this.#any().table;
    const allBytes = liveBytes();
    const residentBytes = process.memoryUsage().rss;
    const diskBytes = this.members.ids.reduce((sum, id) => sum + this.members.disk(id).bytes, 0);
    this.crash(this.follower());
    this.clock.runUntil(this.clock.now() + 1_000);
    return {
      tenants: this.#tenants.length,
      revision,
      memberBytes: allBytes - liveBytes(),
      ...{ allBytes, residentBytes, diskBytes },
      snapshotBytes: this.#snapshotBytes,
      snapshotsTaken: this.#snapshotsTaken,
      snapshotsInstalled: this.members.network.snapshots,
      moved,
      stallMs: this.#stallMs,
    };
  }

  #compareTenants(
    id: string,
    table: TenantMember["table"],
    moved: ReadonlyMap<NewTenant, Incarnation>,
  ): void {
    const wrong = (what: string): Error => new Error(`${id}: ${what}`);
    for (const one of this.#tenants) {
      const tenant: TenantRecord | undefined = table.get(tenantKey(one.id));
      if (tenant === undefined || table.get(slugKey(one.slug)) !== one.id)
        throw wrong(`${one.slug} was acknowledged and is not there`);
      const to = moved.get(one);
      if (tenant.owner?.incarnation !== to || (to !== undefined && !table.tenantsOf(to).has(one.id)))
        throw wrong(`${one.slug} is at ${tenant.owner?.incarnation}, not at ${to}`);
      // One for the assignment, one for the move.
      if (tenant.epoch !== (to === undefined ? 0 : 2)) throw wrong(`${one.slug} has epoch ${tenant.epoch}`);
    }
    const counted = [...table.states().values()].reduce((sum, count) => sum + count, 0);
    if (counted !== this.#tenants.length) throw wrong(`${counted} tenants are counted`);
    if (table.moving().size > 0) throw wrong(`${table.moving().size} tenants are on their way for ever`);
  }

  async #start(id: string): Promise<void> {
    await this.members.start(id);
    await this.#follow(id);
  }

  async #follow(id: string): Promise<void> {
    const store = this.members.store(id)!;
    this.#open.set(id, await openTenantMember(store, this.clock, this.#random));
  }

  #any(): TenantMember {
    return this.#random.pick([...this.#open.values()]);
  }

  /** At any member, until one answers. */
  async #insist<T>(attempt: (member: TenantMember) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        if (this.#open.size > 0) return await attempt(this.#any());
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
      }
      await this.#sleep(this.#random.next() * 100);
    }
  }

  async #isNewest(revision: number): Promise<boolean> {
    const { rev } = await this.#insist(({ store }) => store.range("none/", { limit: 1 }));
    return rev === revision;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(ms, resolve));
  }
}

/** The whole simulation runs in few turns of the event loop: memory is to be that of what is held, not of how late it is collected. */
function collect(): void {
  Bun.gc(true);
}

function liveBytes(): number {
  Bun.gc(true);
  Bun.gc(true);
  return heapStats().heapSize;
}
