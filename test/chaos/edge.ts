/**
 * What clients notice while processes die: a steady load through one gateway, and kill -9 of a worker, a replica of control, or another
 * gateway every few seconds. Reads, and writes with an Idempotency-Key, must not fail at all and each write must be there once; a write
 * without a key may fail when its worker died, with an error that says so.
 */
import { RealPlatform, type Place } from "../gateway/real-platform.ts";
import type { Random } from "../simulation/random.ts";

export interface EdgeReport {
  runtime: string;
  perSecond: number;
  kills: Record<string, number>;
  /** Requests by kind and what came of them. */
  outcomes: Record<string, Record<string, number>>;
  slowestMs: number;
  violations: string[];
}

export interface EdgeOptions {
  runtime: "bun" | "deno";
  perSecond: number;
  kills: number;
  pauseMs: number;
}

const TICK_MS = 10;
const KINDS = ["get", "head", "keyed", "plain"] as const;
type Kind = (typeof KINDS)[number];
/** What a write without a key may be told. */
const HONEST: ReadonlySet<string> = new Set(["worker_lost", "commit_unknown"]);

export async function edgeCampaign(
  { runtime, perSecond, kills, pauseMs }: EdgeOptions,
  random: Random,
  say: (line: string) => void,
): Promise<EdgeReport> {
  const platform = await RealPlatform.start({
    controls: 3,
    workers: 2,
    gateways: [runtime, "bun"],
    gatewayOptions: ["--tenant-rate=0"],
  });
  const slugs = ["acme", "beta"];
  for (const slug of slugs) await platform.createTenant(slug);
  const load = new Load(platform, slugs);
  const killed: Record<string, number> = {};
  const startedMs = performance.now();
  // By the clock and not by ticks, which a busy machine loses.
  const ticker = setInterval(
    () => load.sendUpTo(((performance.now() - startedMs) / 1000) * perSecond),
    TICK_MS,
  );
  await Bun.sleep(2_000);
  for (let i = 0; i < kills; i++) {
    const rooms: [string, readonly Place[]][] = [
      ["worker", platform.workers],
      ["control", platform.controls],
      ["gateway", platform.gateways.slice(1)],
    ];
    const [room, places] = rooms[i % rooms.length] ?? ["", []];
    const place = places[random.below(places.length)];
    if (place === undefined) continue;
    killed[room] = (killed[room] ?? 0) + 1;
    place.process.killAll();
    await place.process.exited;
    await Bun.sleep(pauseMs / 2);
    await place.restart();
    await Bun.sleep(pauseMs / 2);
    say(`${i + 1}/${kills}: ${place.name}; ${load.sent} requests so far, ${load.failed} failed`);
  }
  clearInterval(ticker);
  await load.ended();
  const violations = [...load.violations, ...(await load.compare())];
  await platform.stop();
  const { outcomes, slowestMs } = load;
  return { runtime, perSecond, kills: killed, outcomes, slowestMs: Math.round(slowestMs), violations };
}

class Load {
  readonly outcomes: Record<string, Record<string, number>> = {};
  readonly violations: string[] = [];
  sent = 0;
  failed = 0;
  slowestMs = 0;
  readonly #platform: RealPlatform;
  readonly #slugs: readonly string[];
  readonly #open = new Set<Promise<void>>();
  /** By tag: must there be one record, or may there be none. */
  readonly #writes = new Map<string, { slug: string; must: boolean }>();

  constructor(platform: RealPlatform, slugs: readonly string[]) {
    this.#platform = platform;
    this.#slugs = slugs;
  }

  sendUpTo(total: number): void {
    while (this.sent < total) {
      const n = this.sent++;
      const one = this.#one(n, KINDS[n % KINDS.length] ?? "get").finally(() => this.#open.delete(one));
      this.#open.add(one);
    }
  }

  async ended(): Promise<void> {
    await Promise.all(this.#open);
  }

  async #one(n: number, kind: Kind): Promise<void> {
    const slug = this.#slugs[Math.floor(n / KINDS.length) % this.#slugs.length] ?? "";
    const tag = `t${n}`;
    const startedMs = performance.now();
    let outcome: string;
    try {
      const answer = await this.#ask(kind, slug, tag);
      const text = await answer.text();
      outcome = answer.ok
        ? "ok"
        : `${answer.status} ${/"code":"(\w+)"/.exec(text)?.[1] ?? text.slice(0, 80)}`;
    } catch (error) {
      outcome = `no answer: ${(error as Error).message}`;
    }
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startedMs);
    const ofKind = (this.outcomes[kind] ??= {});
    ofKind[outcome] = (ofKind[outcome] ?? 0) + 1;
    if (kind === "keyed" || kind === "plain") this.#writes.set(tag, { slug, must: outcome === "ok" });
    if (outcome === "ok") return;
    this.failed += 1;
    const honest = kind === "plain" && HONEST.has(outcome.split(" ")[1] ?? "");
    if (!honest) this.violations.push(`${kind} ${tag}: ${outcome}`);
  }

  #ask(kind: Kind, slug: string, tag: string): Promise<Response> {
    const host = `${slug}.localhost`;
    const path = "/api/collections/notes/records";
    const signal = AbortSignal.timeout(30_000);
    if (kind === "get" || kind === "head") {
      return this.#platform.ask(host, `${path}?perPage=1&skipTotal=1`, {
        method: kind.toUpperCase(),
        signal,
      });
    }
    const headers = {
      "content-type": "application/json",
      ...(kind === "keyed" ? { "idempotency-key": tag } : {}),
    };
    return this.#platform.ask(host, path, { method: "POST", headers, body: JSON.stringify({ tag }), signal });
  }

  /** What is there against what clients were told. */
  async compare(): Promise<string[]> {
    const found = new Map<string, number>();
    for (const slug of this.#slugs) {
      for (let page = 1; ; page++) {
        const path = `/api/collections/notes/records?perPage=1000&skipTotal=1&fields=tag&sort=@rowid&page=${page}`;
        const answer = await this.#platform.ask(`${slug}.localhost`, path);
        const { items } = (await answer.json()) as { items: { tag: string }[] };
        for (const { tag } of items) found.set(tag, (found.get(tag) ?? 0) + 1);
        if (items.length < 1000) break;
      }
    }
    const wrong: string[] = [];
    for (const [tag, { must }] of this.#writes) {
      const times = found.get(tag) ?? 0;
      if (times > 1) wrong.push(`${tag} is there ${times} times`);
      if (must && times === 0) wrong.push(`${tag} was acknowledged and is not there`);
    }
    return wrong;
  }
}
