/**
 * `bun test/bench/control-scale.ts`: control with very many tenants. A real control process on a directory with 100,000 of them: how long it
 * takes to start, and how long a route of a tenant takes that nobody has asked for. In this process: the longest stall of the event
 * loop while a snapshot of that state is written, and the memory of one replica's whole state with a million tenants.
 */
import { constants, mkdirSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { digestOf, keptOf } from "../../control/disaster/metadata.ts";
import { metadataRowKey, slugKey, tenantKey } from "../../control/domain/keys.ts";
import type { TenantRecord } from "../../control/domain/records.ts";
import { Table } from "../../control/domain/table.ts";
import { nodeDisk } from "../../control/raft/driver/node-disk.ts";
import { SnapshotStore } from "../../control/raft/log/snapshot-store.ts";
import { openRaftStore } from "../../control/raft/open.ts";
import { commandOf } from "../../control/store/command.ts";
import type { Kv, Op, Txn } from "../../control/store/contract.ts";
import { StateMachine } from "../../control/store/state-machine.ts";
import { type Epoch, type Revision, type Slug, newTenantId } from "../../shared/ids.ts";
import { InternalClient } from "../../shared/protocol/internal-client.ts";
import { beatResponseSchema, registerResponseSchema, routeSchema } from "../../shared/protocol/internal.ts";
import { parseKeyring } from "../../shared/protocol/keys.ts";
import { parseOptions } from "../../shared/options.ts";
import { temporaryDirectory } from "../e2e/all-in-one.ts";
import { bin, killAll, run } from "../e2e/process.ts";

const OPTIONS = {
  tenants: { value: "<n>", default: "100000", help: "Of the real control." },
  many: { value: "<n>", default: "1000000", help: "Of the one whose memory is printed; 0: none." },
  lookups: { value: "<n>", default: "2000", help: "Routes to ask for." },
  starts: { value: "<n>", default: "3", help: "Of control." },
};
const MAY = { startMs: 3_000, lookupMs: 10, stallMs: 20 };
const TENANTS_PER_TXN = 40;
const { values } = parseOptions(OPTIONS, process.argv.slice(2), {});
const count = Number(values.tenants);
const data = temporaryDirectory();

try {
  await main();
} finally {
  await killAll();
  rmSync(data, { recursive: true, force: true });
}

async function main(): Promise<void> {
  mkdirSync(join(data, "control"), { recursive: true });
  const store = await openRaftStore({ directory: join(data, "control") });
  for (const txn of fillings(count)) await store.txn(txn);
  await store.close();

  const startsMs: number[] = [];
  let url = "";
  for (let i = 0; i < Number(values.starts); i++) {
    const startedMs = performance.now();
    const control = run([bin("bun"), "control/main.ts", "--data", data, "--listen", "127.0.0.1:0"]);
    url = await control.line("control ready on ");
    startsMs.push(performance.now() - startedMs);
    if (i < Number(values.starts) - 1) {
      control.kill("SIGTERM");
      await control.exited;
    }
  }
  say(`start with ${count} tenants`, Math.max(...startsMs), MAY.startMs);
  await lookups(url);
  await killAll();
  await stall();
  if (Number(values.many) > 0) memory(Number(values.many));
}

/**
 * Routes that no gateway has: each is an assignment, which is a transaction with its fsync. Beside them, in turns, a synced write of the
 * same size to the same disk: what is slow there is slow here, too.
 */
async function lookups(url: string): Promise<void> {
  const keyring = async (name: string) =>
    parseKeyring(await Bun.file(join(data, `keys/${name}.key`)).text(), name);
  const member = new InternalClient({ url, keys: await keyring("member"), timeoutMs: 5_000 });
  const gateway = new InternalClient({ url, keys: await keyring("gateway"), timeoutMs: 5_000 });
  const { incarnation, beatMs } = await member.call("POST", "/v1/workers", registerResponseSchema, {
    url: "http://127.0.0.1:1",
    nonce: "ab".repeat(16),
    version: "0.1.0",
    nowMs: Date.now(),
  });
  const beat = { seq: 0, tenants: 0, rssBytes: 1, draining: false };
  const timer = setInterval(
    () =>
      void member
        .call("POST", `/v1/workers/${incarnation}/beats`, beatResponseSchema, beat)
        .catch(() => undefined),
    beatMs,
  );
  const ask = async (slug: string): Promise<number> => {
    const startedMs = performance.now();
    const route = await gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug });
    if (route.worker === undefined) throw new Error(`${slug} has no worker`);
    return performance.now() - startedMs;
  };
  const chosen = Array.from({ length: Number(values.lookups) }, (_, i) =>
    slugOf(Math.floor(((i + 0.5) * count) / Number(values.lookups))),
  );
  for (const [title, again] of [
    ["cold lookup that assigns", false],
    ["cold lookup of an assigned tenant", true],
  ] as const) {
    const timesMs: number[] = [];
    const half = again ? chosen : chosen.slice(0, chosen.length / 2);
    const synced = again ? undefined : await syncedWrites();
    for (const slug of half) {
      timesMs.push(await ask(slug));
      await synced?.write();
    }
    await synced?.close();
    const rest = chosen.slice(chosen.length / 2).values();
    const lane = async (): Promise<void> => {
      for (const slug of rest) timesMs.push(await ask(slug));
    };
    if (!again) await Promise.all(Array.from({ length: 8 }, lane));
    const lookupMs = p99(timesMs);
    say(`${title}, p99 of ${timesMs.length}`, lookupMs, MAY.lookupMs);
    if (synced === undefined) continue;
    const diskMs = p99(synced.timesMs);
    console.log(
      `a synced write alone, p99: ${diskMs.toFixed(1)} ms; lookups ${(lookupMs / diskMs).toFixed(1)} times`,
    );
  }
  clearInterval(timer);
}

async function syncedWrites(): Promise<{
  timesMs: number[];
  write(): Promise<void>;
  close(): Promise<void>;
}> {
  const file = await open(join(data, "synced"), constants.O_WRONLY | constants.O_CREAT | constants.O_DSYNC);
  const bytes = new Uint8Array(1_024);
  const timesMs: number[] = [];
  return {
    timesMs,
    async write() {
      const startedMs = performance.now();
      await file.write(bytes, 0, bytes.length, timesMs.length * bytes.length);
      timesMs.push(performance.now() - startedMs);
    },
    close: () => file.close(),
  };
}

function p99(timesMs: readonly number[]): number {
  const sorted = timesMs.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
}

/** The gap between two turns of the event loop, beside one of the same length in which nothing is done. */
async function stall(): Promise<void> {
  const machine = filled(count);
  const snapshots = new SnapshotStore(nodeDisk(data));
  const measured = async (work: () => Promise<unknown>): Promise<{ worstMs: number; tookMs: number }> => {
    let worstMs = 0;
    let lastMs = performance.now();
    let running = true;
    const turn = (): void => {
      const nowMs = performance.now();
      worstMs = Math.max(worstMs, nowMs - lastMs);
      lastMs = nowMs;
      if (running) setImmediate(turn);
    };
    setImmediate(turn);
    const startedMs = performance.now();
    await work();
    running = false;
    return { worstMs, tookMs: performance.now() - startedMs };
  };
  const save = (): Promise<unknown> => snapshots.save({ index: 1, term: 1 }, machine.snapshot());
  await save();
  const rounds: { worstMs: number; tookMs: number }[] = [];
  for (let i = 0; i < 5; i++) rounds.push(await measured(save));
  const worst = rounds.toSorted((a, b) => a.worstMs - b.worstMs);
  const idle = await measured(() => Bun.sleep(rounds[0]?.tookMs ?? 100));
  console.log(
    `snapshot of ${count} tenants: ${rounds.map(({ tookMs }) => tookMs.toFixed(0)).join(", ")} ms; longest stalls ` +
      `${worst.map(({ worstMs }) => worstMs.toFixed(1)).join(", ")} ms, idle ${idle.worstMs.toFixed(1)} ms`,
  );
  // What else runs on the machine adds to all of them.
  say("longest stall of the quietest snapshot", worst[0]?.worstMs ?? 0, MAY.stallMs);
}

/** The state machine and the table over it, as each replica has them. */
function memory(many: number): void {
  Bun.gc(true);
  const before = process.memoryUsage().rss;
  const startedMs = performance.now();
  const machine = filled(many);
  const table = new Table();
  table.load(rows(machine), machine.revision as Revision);
  Bun.gc(true);
  const mebibytes = (process.memoryUsage().rss - before) / 1024 / 1024;
  const seconds = (performance.now() - startedMs) / 1_000;
  let bytes = 0;
  const encodeMs = performance.now();
  for (const chunk of machine.snapshot()) bytes += chunk.length;
  console.log(
    `${many} tenants: ${mebibytes.toFixed(0)} MiB of memory in one replica (${((mebibytes * 1024 * 1024) / many).toFixed(0)} bytes ` +
      `each), filled in ${seconds.toFixed(1)} s; snapshot ${(bytes / 1024 / 1024).toFixed(0)} MiB in ` +
      `${((performance.now() - encodeMs) / 1_000).toFixed(1)} s; ${table.states().get("created") ?? 0} in the table`,
  );
}

function* rows(machine: StateMachine): Generator<Kv> {
  let from: string | undefined;
  do {
    const page = machine.range("", from, 10_000);
    yield* page.rows;
    from = page.next;
  } while (from !== undefined);
}

function filled(tenants: number): StateMachine {
  const machine = new StateMachine();
  for (const txn of fillings(tenants)) machine.apply(commandOf(txn));
  return machine;
}

function slugOf(i: number): string {
  return `tenant-${i}`;
}

function* fillings(tenants: number): Generator<Txn> {
  for (let i = 0; i < tenants; i += TENANTS_PER_TXN) {
    const then: Op[] = [];
    for (let n = i; n < Math.min(tenants, i + TENANTS_PER_TXN); n++) then.push(...created(n));
    yield { id: `fill-${i}`, cmp: [], then };
  }
}

function created(i: number): Op[] {
  const id = newTenantId((length) => crypto.getRandomValues(new Uint8Array(length)));
  const slug = slugOf(i) as Slug;
  const at = "2026-01-01T00:00:00.000Z";
  const tenant: TenantRecord = {
    ...{ id, slug, state: "created", suspended: false, durability: "durable", epoch: 0 as Epoch },
    ...{ base: {}, tails: [], virgin: true, created: at, updated: at },
  };
  return [
    { kind: "put", key: tenantKey(id), value: tenant },
    { kind: "put", key: slugKey(slug), value: id },
    // As control leaves them. Without it, it would spend minutes on writing 100,000 records to the object store.
    { kind: "put", key: metadataRowKey(id), value: { digest: digestOf(keptOf(tenant)), keys: [] } },
  ];
}

function say(what: string, ms: number, may: number): void {
  console.log(`${what}: ${ms.toFixed(1)} ms, ${(ms / may).toFixed(2)} of the ${may} ms it may be`);
}
