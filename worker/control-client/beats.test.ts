import { afterEach, expect, test } from "bun:test";
import type { Incarnation, LogSeq } from "../../shared/ids.ts";
import type { BeatRequest } from "../../shared/protocol/internal.ts";
import { LiveKeyring, parseKeyring } from "../../shared/protocol/keys.ts";
import { type Beats, startBeats } from "./beats.ts";
import { Lease } from "./lease.ts";
import { sharedFacts } from "./shared-facts.ts";

const LEASE_MS = 400;
const BEAT_MS = 50;

let running: { beats: Beats; server: Bun.Subprocess } | undefined;
afterEach(async () => {
  await running?.beats.stop();
  running?.server.kill("SIGKILL");
});

/** Control in another process, because this one's main thread is to stand still. */
const CONTROL = `
  const beats = [];
  let state = "live";
  let skewMs = 0;
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/seen") return Response.json(beats);
    if (pathname === "/die") { state = "dead"; return new Response(); }
    if (pathname === "/drift") { skewMs = 60_000; return new Response(); }
    const key = request.headers.get("x-manybase-signature");
    beats.push({ atMs: Date.now(), key, ...(await request.json()) });
    return Response.json({ state, leaseMs: ${LEASE_MS}, nowMs: Date.now() + skewMs });
  }});
  console.log(server.url.origin);
`;

interface Started {
  url: string;
  lease: Lease;
  beats: Beats;
  state: { draining: boolean };
  keys: LiveKeyring;
}

async function start(): Promise<Started> {
  const server = Bun.spawn([process.execPath, "-e", CONTROL], { stdout: "pipe" });
  const { value } = await server.stdout.getReader().read();
  const url = new TextDecoder().decode(value).trim();
  const facts = sharedFacts();
  const lease = new Lease(undefined, facts.leaseUntilMs);
  const state = { durableSeq: 5 as LogSeq, tenants: 2, draining: false };
  const keys = new LiveKeyring(parseKeyring(`member-1:${"A".repeat(43)}`, "test key"));
  const times = { leaseMs: LEASE_MS, beatMs: BEAT_MS };
  const incarnation = 7 as Incarnation;
  const beats = startBeats({ facts, lease, url, keys, incarnation, ...times, state: () => state });
  running = { beats, server };
  while (!lease.held) await Bun.sleep(5);
  return { url, lease, beats, state, keys };
}

const seen = async (url: string): Promise<(BeatRequest & { atMs: number; key: string })[]> =>
  (await (await fetch(`${url}/seen`)).json()) as (BeatRequest & { atMs: number; key: string })[];

test("the lease is renewed while the main thread stands still", async () => {
  const { url, lease } = await start();
  const startedMs = Date.now();
  Bun.sleepSync(LEASE_MS * 3);
  expect(lease.held).toBe(true);
  const during = (await seen(url)).filter(({ atMs }) => atMs > startedMs && atMs < startedMs + LEASE_MS * 3);
  expect(during.length).toBeGreaterThan(LEASE_MS / BEAT_MS);
});

test("a beat tells the newest state; the lease ends after control falls silent, never later than from its last beat", async () => {
  const { url, lease, state } = await start();
  state.draining = true;
  await Bun.sleep(BEAT_MS * 4);
  expect((await seen(url)).at(-1)).toMatchObject({ seq: 5, tenants: 2, draining: true });
  running?.server.kill("SIGKILL");
  const silentMs = performance.now();
  while (lease.held) await Bun.sleep(1);
  expect(performance.now() - silentMs).toBeLessThanOrEqual(LEASE_MS + 5);
});

test("control's word that it is over ends it", async () => {
  const { url, beats } = await start();
  await fetch(`${url}/die`);
  while (!beats.dead.aborted) await Bun.sleep(5);
  expect(String(beats.dead.reason)).toContain("control declared this worker dead");
});

test("a clock that is too far off control's is told while the lease still holds", async () => {
  const { url, lease, beats } = await start();
  await Bun.sleep(BEAT_MS * 4);
  expect(beats.drifted.aborted).toBe(false);
  await fetch(`${url}/drift`);
  while (!beats.drifted.aborted) await Bun.sleep(5);
  expect(String(beats.drifted.reason)).toContain("ms ahead of control's");
  expect([lease.held, beats.dead.aborted]).toEqual([true, false]);
});

test("beats are signed by the newest member key", async () => {
  const { url, keys } = await start();
  expect((await seen(url)).at(-1)?.key).toContain("member-1");
  keys.replace(parseKeyring(`member-2:${"B".repeat(43)}`, "test key"));
  const deadline = performance.now() + 10_000;
  while (!((await seen(url)).at(-1)?.key ?? "").includes("member-2")) {
    if (performance.now() > deadline) throw new Error("still signed by the old key");
    await Bun.sleep(20);
  }
});

test("stopping it is no death", async () => {
  const { lease, beats } = await start();
  await beats.stop();
  await Bun.sleep(LEASE_MS + BEAT_MS);
  expect(lease.held).toBe(false);
  expect(beats.dead.aborted).toBe(false);
});
