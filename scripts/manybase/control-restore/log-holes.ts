import type { Incarnation, LogSeq, TenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { LogFooter } from "../../../shared/log/log.ts";
import { highestSlot, readSlot } from "../../../shared/log/slots.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { logPrefix } from "../../../shared/objects/layout.ts";
import { listAll } from "../../../shared/objects/read.ts";
import type { Tail } from "../../../shared/protocol/internal.ts";
import { FooterReader } from "../../../worker/replication/footer-reader.ts";
import { parallel } from "../../../worker/replication/parallel.ts";
import type { TailItem } from "../../../worker/replication/sealed-log.ts";

/** From the first to the last, both included. */
export type Span = [from: number, to: number];

/**
 * Where a log was sealed before anybody seals it now: its lowest SEAL above its writer's objects. A sealer that finds slots free right
 * below it takes them for free and seals there, so what was lost in them shows only before that. (One that died may have left them
 * free as well; that cannot be told from a loss. Between SEALs there may be free slots at any time.)
 */
export async function standingEnd(
  store: ObjectStore,
  incarnation: Incarnation,
  signal: AbortSignal,
): Promise<LogSeq | undefined> {
  const log = { store, incarnation };
  const highest = await highestSlot(log, 0 as LogSeq, { signal });
  let end: LogSeq | undefined;
  // No SEAL that counts stands further from another one (seal.ts).
  for (let slot: number = highest; slot > Math.max(0, highest - limits.sealSlots); slot--) {
    const header = await readSlot(log, slot as LogSeq, { signal });
    if (header !== undefined && header.kind !== "seal") break;
    if (header !== undefined) end = slot as LogSeq;
  }
  return end;
}

/**
 * Slots of a sealed log that should be there and are not. Below the low watermark of its newest object nothing should.
 * @param endBefore where control once saw it end
 */
export async function missingSlots(
  store: ObjectStore,
  log: Tail,
  endBefore: LogSeq | undefined,
  signal: AbortSignal,
): Promise<Span[]> {
  const slots = await slotsOf(store, log, signal);
  const newest = slots.at(-1);
  const first = newest === undefined ? 1 : (await watermark(store, log, newest)) || 1;
  return spansBetween(slots, first, Math.max(log.endSeq, endBefore ?? 0) - 1);
}

/** What the slots that are there hold by tenant, and what is known of those that are not. */
export async function readWithHoles(
  store: ObjectStore,
  log: Tail & { missing: readonly Span[] },
  signal: AbortSignal,
): Promise<{ items: Map<TenantId, TailItem[]>; lost: Map<TenantId, TailItem[]> }> {
  const slots = await slotsOf(store, log, signal);
  const footers = new FooterReader(store, log.incarnation);
  const [items, lost] = [new Map<TenantId, TailItem[]>(), new Map<TenantId, TailItem[]>()];
  const newest = slots.at(-1);
  if (newest === undefined) return { items, lost };
  const first = await watermark(store, log, newest);
  const needed = slots.filter((seq) => seq >= first);
  const found = await parallel(needed, limits.restoreParallelGets, (seq) => footers.read(seq));
  for (const footer of found) place(items, footer);
  const isMissing = (seq: number): boolean => log.missing.some(([from, to]) => seq >= from && seq <= to);
  for (const seq of needed) {
    if (seq % limits.logFootersEvery !== 0) continue;
    const entry = await footers.entry(seq, "footers");
    if (entry?.kind !== "footers") continue;
    for (const footer of entry.footers) if (isMissing(footer.header.seq)) place(lost, footer);
  }
  return { items, lost };
}

/**
 * Entries below a log's low watermark, of slots that are still there: they were under prefixes, which helps where these have holes.
 */
export async function readBelowWatermark(
  store: ObjectStore,
  log: Tail,
  signal: AbortSignal,
): Promise<Map<TenantId, TailItem[]>> {
  const slots = await slotsOf(store, log, signal);
  const items = new Map<TenantId, TailItem[]>();
  const newest = slots.at(-1);
  if (newest === undefined) return items;
  const first = await watermark(store, log, newest);
  const footers = new FooterReader(store, log.incarnation);
  const below = slots.filter((seq) => seq < first);
  const found = await parallel(below, limits.restoreParallelGets, async (seq) => {
    try {
      return await footers.read(seq);
    } catch (error) {
      // A late SEAL in a slot that was deleted before: it means nothing.
      if ((error as { code?: string }).code === "log_corrupt") return undefined;
      throw error;
    }
  });
  for (const footer of found) if (footer !== undefined) place(items, footer);
  return items;
}

async function slotsOf(store: ObjectStore, log: Tail, signal: AbortSignal): Promise<LogSeq[]> {
  const prefix = logPrefix(log.incarnation);
  const slots: LogSeq[] = [];
  for await (const { key } of listAll(store, { prefix, signal })) {
    const seq = Number.parseInt(key.slice(prefix.length), 16);
    if (seq >= log.endSeq) break;
    slots.push(seq as LogSeq);
  }
  return slots;
}

async function watermark(store: ObjectStore, { incarnation }: Tail, newest: LogSeq): Promise<number> {
  const { header } = await new FooterReader(store, incarnation).read(newest);
  return header.lowWatermark;
}

function place(into: Map<TenantId, TailItem[]>, { header, index }: LogFooter): void {
  for (const item of index) {
    if ((item.kind !== "data" && item.kind !== "ref") || item.tenant === undefined) continue;
    const { incarnation, seq } = header;
    const all = into.get(item.tenant) ?? [];
    into.set(item.tenant, all);
    all.push({ incarnation, seq, item });
  }
}

/** What is not there of `first` to `last`. @param there ascending */
export function spansBetween(there: readonly number[], first: number, last: number): Span[] {
  const spans: Span[] = [];
  let next = first;
  for (const one of there) {
    if (one > next) spans.push([next, Math.min(one - 1, last)]);
    next = Math.max(next, one + 1);
  }
  if (next <= last) spans.push([next, last]);
  return spans.filter(([from, to]) => from <= to);
}
