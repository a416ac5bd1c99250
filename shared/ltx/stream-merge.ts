import { SystemError } from "../errors.ts";
import { type LtxHeader, type LtxPage, lockPage } from "./ltx.ts";
import { following } from "./write.ts";

/** The pages of one file, ascending; undefined at the end, when the file is proven. Data are good until the next call. */
export interface LtxPageSource {
  readonly header: LtxHeader;
  next(): LtxPage | undefined | Promise<LtxPage | undefined>;
}

/**
 * What merging these files gives, by the rules of `mergeLtx`.
 *
 * @returns the header of the result, and which of the files bring anything: those that an earlier one covers do not
 * @throws SystemError `chain_gap`, `object_corrupt` when page sizes differ
 */
export function planMerge(headers: readonly LtxHeader[]): { header: LtxHeader; used: number[] } {
  const [first] = headers;
  if (first === undefined) throw new SystemError("internal", "Cannot merge LTX files: there are none");
  const used = [0];
  let last = first;
  let { timestampMs } = first;
  for (const [i, header] of headers.entries()) {
    if (header.pageSize !== first.pageSize) {
      throw new SystemError(
        "object_corrupt",
        `Cannot merge LTX files: page sizes differ at TXID ${header.minTxid}`,
      );
    }
    if (header.minTxid < first.minTxid) {
      throw new SystemError("internal", `Cannot merge LTX files: TXID ${header.minTxid} is out of order`);
    }
    if (header.minTxid > last.maxTxid + 1) {
      throw new SystemError(
        "chain_gap",
        `Cannot merge LTX files: TXIDs ${last.maxTxid + 1} to ${header.minTxid - 1} are missing`,
      );
    }
    if (header.maxTxid <= last.maxTxid) continue;
    used.push(i);
    timestampMs = Math.max(timestampMs, header.timestampMs);
    last = header;
  }
  const { minTxid } = first;
  return { header: { ...last, minTxid, timestampMs, walOffset: 0, walSize: 0, salt1: 0, salt2: 0 }, used };
}

/**
 * Hands on each page once, in order, from the newest file that has it: one page of each file in memory. From TXID 1 all pages
 * come, zeros where no file has them.
 *
 * @param sources - those that `planMerge` calls used
 * @throws what the sources throw; what was handed on by then proves nothing
 */
export async function mergePages(
  header: LtxHeader,
  sources: readonly LtxPageSource[],
  emit: (pgno: number, data: Uint8Array) => void,
): Promise<void> {
  const { pageSize, commit, minTxid } = header;
  const lock = lockPage(pageSize);
  const zeros = new Uint8Array(pageSize);
  const current: (LtxPage | undefined)[] = [];
  for (const source of sources) current.push(await source.next());
  const alive = aliveUpTo(sources);
  let previous = 0;
  for (;;) {
    const pgno = lowest(current);
    if (pgno === undefined) break;
    let newest: LtxPage | undefined;
    for (const [i, page] of current.entries()) {
      if (page?.pgno === pgno && pgno <= (alive[i] as number)) newest = page;
    }
    if (newest !== undefined) {
      if (minTxid === 1) previous = fill(previous, pgno);
      emit(pgno, newest.data);
      previous = pgno;
    }
    for (const [i, page] of current.entries()) {
      if (page?.pgno !== pgno) continue;
      const next = (sources[i] as LtxPageSource).next();
      current[i] = next instanceof Promise ? await next : next;
    }
  }
  if (minTxid === 1) fill(previous, commit + 1);

  /** Pages that no file has, before `end`. */
  function fill(from: number, end: number): number {
    let at = from;
    for (let pgno = following(at, lock); pgno < end; pgno = following(at, lock)) {
      emit(pgno, zeros);
      at = pgno;
    }
    return at;
  }
}

/** Up to which page each file's content lives: what a shrunk database lost must not come back when it grows again. */
function aliveUpTo(sources: readonly LtxPageSource[]): number[] {
  const alive: number[] = [];
  let least = Infinity;
  for (let i = sources.length - 1; i >= 0; i--) {
    least = Math.min(least, sources[i]?.header.commit ?? Infinity);
    alive[i] = least;
  }
  return alive;
}

function lowest(pages: readonly (LtxPage | undefined)[]): number | undefined {
  let found: number | undefined;
  for (const page of pages) {
    if (page !== undefined && (found === undefined || page.pgno < found)) found = page.pgno;
  }
  return found;
}
