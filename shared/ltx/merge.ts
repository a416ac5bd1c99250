import { SystemError } from "../errors.ts";
import { type LtxFile, completePages } from "./ltx.ts";

/**
 * One file that does what the given ones do in a row: of every page the last version, without pages above the final size.
 * Each file must begin at most one TXID after what came before; it may begin earlier (overlap), and one that brings nothing new
 * is skipped, since the files of two levels overlap legally. The result of a merge from TXID 1 is a snapshot.
 *
 * @param files - in ascending order of minTxid, at least one
 * @throws SystemError `chain_gap` when a TXID is missing, `object_corrupt` when page sizes differ
 */
export function mergeLtx(files: readonly LtxFile[]): LtxFile {
  const { header, pages } = mergeVersions(files);
  const { minTxid, pageSize, commit } = header;
  return { header, pages: minTxid === 1 ? completePages(pages, pageSize, commit) : pages };
}

/** The same, whatever stands for a page; a snapshot still lacks the pages that no file has. */
export function mergeVersions<Page>(files: readonly LtxFile<Page>[]): LtxFile<Page> {
  const [first] = files;
  if (first === undefined) throw new SystemError("internal", "Cannot merge LTX files: there are none");
  const latest = new Map<number, Page>();
  let last: LtxFile<Page> | undefined;
  let timestampMs = 0;
  for (const file of files) {
    const { header } = file;
    if (header.pageSize !== first.header.pageSize) {
      throw new SystemError(
        "object_corrupt",
        `Cannot merge LTX files: page sizes differ at TXID ${header.minTxid}`,
      );
    }
    if (header.minTxid < first.header.minTxid) {
      throw new SystemError("internal", `Cannot merge LTX files: TXID ${header.minTxid} is out of order`);
    }
    if (last !== undefined) {
      if (header.minTxid > last.header.maxTxid + 1) {
        throw new SystemError(
          "chain_gap",
          `Cannot merge LTX files: TXIDs ${last.header.maxTxid + 1} to ${header.minTxid - 1} are missing`,
        );
      }
      if (header.maxTxid <= last.header.maxTxid) continue;
      // What a shrunk database lost must not come back when it grows again.
      if (header.commit < last.header.commit) dropAbove(latest, header.commit);
    }
    for (const [pgno, data] of file.pages) latest.set(pgno, data);
    timestampMs = Math.max(timestampMs, header.timestampMs);
    last = file;
  }
  const end = (last ?? first).header;
  const { minTxid } = first.header;
  return {
    header: { ...end, minTxid, timestampMs, walOffset: 0, walSize: 0, salt1: 0, salt2: 0 },
    pages: new Map([...latest].sort(([a], [b]) => a - b)),
  };
}

function dropAbove(pages: Map<number, unknown>, commit: number): void {
  for (const pgno of pages.keys()) {
    if (pgno > commit) pages.delete(pgno);
  }
}
