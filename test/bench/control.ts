/**
 * `bun test/bench/control.ts`: writes over HTTP with JSON on three members of the raft engine, beside three etcd servers in the same
 * run. Both get a key and a value of 200 bytes per write, at the leader, from one client process with as many requests in flight.
 */
import { ensureEtcd } from "../../scripts/etcd-server.ts";
import { startRaft } from "../chaos/raft-target.ts";

const ROUNDS = 3;
const SECONDS = 4;
const VALUE = "x".repeat(200);

interface Figures {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
}

type Write = (i: number) => Promise<void>;

async function measure(write: Write, inFlight: number, seconds: number): Promise<Figures> {
  const samples: number[] = [];
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1_000;
  let next = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const calledMs = performance.now();
      await write(next++);
      samples.push(performance.now() - calledMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  const perSecond = samples.length / ((performance.now() - startedMs) / 1_000);
  samples.sort((a, b) => a - b);
  const at = (share: number): number => samples[Math.floor(share * (samples.length - 1))] ?? 0;
  return { perSecond, p50Ms: at(0.5), p99Ms: at(0.99) };
}

async function post(url: string, body: string): Promise<void> {
  const response = await fetch(url, { method: "POST", body });
  await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
}

const etcd = await ensureEtcd(3);
if ("skip" in etcd) process.exit(1);
const raft = await startRaft(3, 10_000, false);
try {
  let leader: string | undefined;
  while (leader === undefined) {
    leader = await raft.leader();
    await Bun.sleep(20);
  }
  const raftUrl = raft.urls[raft.names.indexOf(leader)];
  const etcdUrl = await etcdLeader(etcd.servers.map((server) => server.url));
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  let ids = 0;
  const engines: Record<"raft" | "etcd", Write> = {
    raft: (i) => {
      const then = [{ kind: "put", key: `bench/${i % 10_000}`, value: VALUE }];
      return post(`${raftUrl}/txn`, JSON.stringify({ id: `b${ids++}`, cmp: [], then }));
    },
    etcd: (i) =>
      post(
        `${etcdUrl}/v3/kv/put`,
        JSON.stringify({ key: base64(`bench/${i % 10_000}`), value: base64(`"${VALUE}"`) }),
      ),
  };
  for (const write of Object.values(engines)) await measure(write, 8, 1);
  for (const inFlight of [1, 64]) {
    const best: Record<"raft" | "etcd", Figures[]> = { raft: [], etcd: [] };
    // In turns, so that what else runs on the machine hits both alike.
    for (let round = 0; round < ROUNDS; round++) {
      for (const name of ["raft", "etcd"] as const)
        best[name].push(await measure(engines[name], inFlight, SECONDS));
    }
    const median = (name: "raft" | "etcd"): Figures =>
      best[name].toSorted((a, b) => a.perSecond - b.perSecond)[Math.floor(ROUNDS / 2)]!;
    const [ours, theirs] = [median("raft"), median("etcd")];
    for (const [name, figures] of [
      ["raft", ours],
      ["etcd", theirs],
    ] as const) {
      const { perSecond, p50Ms, p99Ms } = figures;
      console.log(
        `${inFlight} in flight, ${name}: ${perSecond.toFixed(0)} writes/s, p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`,
      );
    }
    console.log(`${inFlight} in flight: ratio raft/etcd ${(ours.perSecond / theirs.perSecond).toFixed(2)}`);
  }
} finally {
  await raft.close();
  await etcd.stop();
}

async function etcdLeader(urls: readonly string[]): Promise<string> {
  for (const url of urls) {
    const response = await fetch(`${url}/v3/maintenance/status`, { method: "POST", body: "{}" });
    const status = (await response.json()) as { leader: string; header: { member_id: string } };
    if (status.leader === status.header.member_id) return url;
  }
  throw new Error("no etcd server leads");
}
