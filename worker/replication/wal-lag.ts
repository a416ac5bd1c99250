import { limits } from "../../shared/limits.ts";

/** The part of a WAL that capture has not read. */
export interface UnreadWal {
  /** Where it begins, and how long the file is. What an earlier generation left behind the live frames is part of it. */
  from: number;
  size: number;
  frameBytes: number;
  salt1: number;
  salt2: number;
  /** A frame's header; undefined where the file ends. */
  headerAt: (offset: number) => DataView | undefined;
  /** Whether the frame there continues the one before it: one of a transaction that was rolled back does not. */
  continues: (offset: number) => boolean;
}

/**
 * How much of a database its next cut will hold: each page that was written counts once, however often that was. Looks at new frames
 * only, and at no more than `limits.asyncLagFrames` of them in a turn; what is behind them counts in full.
 */
export class WalLag {
  readonly #pages = new Set<number>();
  #from = -1;
  #salt1 = 0;
  /** Behind the last commit frame that was looked at: what follows may be rolled back, and others take its place. */
  #committed = 0;

  bytes(wal: UnreadWal): number {
    const { from, frameBytes } = wal;
    if (from !== this.#from || wal.salt1 !== this.#salt1) {
      this.#pages.clear();
      this.#from = from;
      this.#salt1 = wal.salt1;
      this.#committed = from;
    }
    const isEnd = this.#look(wal);
    const committed = this.#pages.size * frameBytes;
    if (isEnd || !wal.continues(this.#committed)) return committed;
    return committed + liveFrames(wal, this.#committed) * frameBytes;
  }

  /** @returns whether nothing follows what is committed */
  #look(wal: UnreadWal): boolean {
    const open: number[] = [];
    const { frameBytes } = wal;
    const end = this.#committed + limits.asyncLagFrames * frameBytes;
    for (let at = this.#committed; at < end; at += frameBytes) {
      const header = liveHeader(wal, at);
      if (header === undefined) return open.length === 0;
      open.push(header.getUint32(0));
      if (header.getUint32(4) === 0) continue;
      for (const pgno of open) this.#pages.add(pgno);
      open.length = 0;
      this.#committed = at + frameBytes;
    }
    return false;
  }
}

/** Of this generation. */
function liveHeader(
  { size, frameBytes, salt1, salt2, headerAt }: UnreadWal,
  at: number,
): DataView | undefined {
  const header = at + frameBytes <= size ? headerAt(at) : undefined;
  return header?.getUint32(8) === salt1 && header.getUint32(12) === salt2 ? header : undefined;
}

/** All stand before the stale ones. */
function liveFrames(wal: UnreadWal, from: number): number {
  const { size, frameBytes } = wal;
  let live = 0;
  let beyond = Math.floor((size - from) / frameBytes) + 1;
  while (beyond - live > 1) {
    const middle = (live + beyond) >>> 1;
    if (liveHeader(wal, from + (middle - 1) * frameBytes) === undefined) beyond = middle;
    else live = middle;
  }
  return live;
}
