import { SystemError } from "../../shared/errors.ts";
import type { Incarnation, LogSeq } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { decodeLogEntry, decodeLogFooter, logFooterBytes } from "../../shared/log/decode.ts";
import type { LogEntry, LogFooter } from "../../shared/log/log.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { logKey } from "../../shared/objects/layout.ts";
import { parallel } from "./parallel.ts";

/** The footers of one sealed log, each read once. */
export class FooterReader {
  readonly #store: ObjectStore;
  readonly #incarnation: Incarnation;
  readonly #known = new Map<LogSeq, Promise<LogFooter>>();

  constructor(store: ObjectStore, incarnation: Incarnation) {
    this.#store = store;
    this.#incarnation = incarnation;
  }

  /** @throws SystemError `log_corrupt`, `object_corrupt`, `object_version` */
  read(seq: LogSeq): Promise<LogFooter> {
    let footer = this.#known.get(seq);
    if (footer === undefined) {
      footer = this.#fetch(seq);
      this.#known.set(seq, footer);
    }
    return footer;
  }

  /** Those of slots `first` to `last`, ascending, by FOOTERS entries as far as there are any. */
  async range(first: number, last: number): Promise<LogFooter[]> {
    const every = limits.logFootersEvery;
    const blocks: { from: number; to: number }[] = [];
    for (let from = first; from <= last;) {
      const to = Math.min((Math.floor(from / every) + 1) * every - 1, last);
      blocks.push({ from, to });
      from = to + 1;
    }
    const found = await parallel(blocks, limits.restoreParallelGets, async ({ from, to }) => {
      const next = (to + 1) as LogSeq;
      const listed = next <= last ? await this.#listed(next, from) : undefined;
      if (listed !== undefined) return listed;
      const seqs = Array.from({ length: to - from + 1 }, (_, i) => (from + i) as LogSeq);
      return parallel(seqs, limits.restoreParallelGets, (seq) => this.read(seq));
    });
    return found.flat();
  }

  /** The slot's first entry of a kind that stands at most once in an object; undefined when it has none, or one of a later version. */
  async entry(seq: LogSeq, kind: "footers" | "directory"): Promise<LogEntry | undefined> {
    const { index } = await this.read(seq);
    const item = index.find((one) => one.kind === kind);
    if (item === undefined) return undefined;
    const { offset, length } = item;
    const found = await this.#store.range(logKey(this.#incarnation, seq), { offset, length });
    if (found === undefined) throw missingSlot(this.#incarnation, seq);
    return decodeLogEntry(found.bytes);
  }

  /** What the FOOTERS of slot `at` say of slots `from` to `at` - 1. */
  async #listed(at: LogSeq, from: number): Promise<LogFooter[] | undefined> {
    const entry = await this.entry(at, "footers");
    if (entry?.kind !== "footers") return undefined;
    const footers = entry.footers.filter(({ header }) => header.seq >= from);
    const whole =
      footers.length === at - from &&
      footers.every(({ header }, i) => header.seq === from + i && header.incarnation === this.#incarnation);
    if (!whole) {
      throw new SystemError(
        "log_corrupt",
        `Cannot read log ${this.#incarnation}: slot ${at} lists other slots`,
      );
    }
    return footers;
  }

  async #fetch(seq: LogSeq): Promise<LogFooter> {
    const incarnation = this.#incarnation;
    const key = logKey(incarnation, seq);
    let tail = await this.#store.range(key, { suffix: limits.logFooterReadBytes });
    if (tail === undefined) throw missingSlot(incarnation, seq);
    const needed = logFooterBytes(tail.bytes);
    if (needed > tail.bytes.length) {
      tail = await this.#store.range(key, { suffix: needed });
      if (tail === undefined) throw missingSlot(incarnation, seq);
    }
    const footer = decodeLogFooter(tail.bytes, tail.size);
    const { header } = footer;
    if (header.incarnation !== incarnation || header.seq !== seq || header.kind === "seal") {
      throw new SystemError(
        "log_corrupt",
        `Cannot read log ${incarnation}: slot ${seq} holds something else`,
        {
          details: { ...header },
        },
      );
    }
    return footer;
  }
}

export function missingSlot(incarnation: Incarnation, seq: LogSeq): SystemError {
  return new SystemError("log_corrupt", `Cannot read log ${incarnation}: slot ${seq} is missing`, {
    hint: "Put the object back from the bucket's versions or a backup; the tenant is not served without it.",
  });
}
