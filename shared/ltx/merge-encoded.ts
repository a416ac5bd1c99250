import { decodeLtx, decodeLtxHeader, decodeLtxPage, decodeLtxPageIndex } from "./decode.ts";
import { encodeLtx } from "./encode.ts";
import { LTX_PAGE_HEADER_BYTES, type LtxFile, type LtxPage, ltxCorrupt, ltxPages } from "./ltx.ts";
import { mergeLtx, mergeVersions } from "./merge.ts";

/**
 * What encoding the result of `mergeLtx` gives, of files as they are encoded, for a fraction of the work: only the last version of each
 * page is unpacked, since the checksum covers it so, and its block is taken over. The files' own checksums are not looked at, so
 * they must be the caller's own, or proven.
 *
 * @throws SystemError as `mergeLtx`; `object_corrupt` when an index or a block cannot be
 */
export function mergeEncodedLtx(files: readonly Uint8Array[]): Uint8Array {
  const { header, pages } = mergeVersions(files.map(spansOf));
  if (header.minTxid > 1) return encodeLtx(header, unpacked(pages, header.pageSize));
  // A snapshot has pages that no file has; there is one such run in a database's life.
  const whole = mergeLtx(files.map((file) => decodeLtx(file)));
  return encodeLtx(whole.header, ltxPages(whole.pages));
}

/** Page header and block of each page. */
function spansOf(file: Uint8Array): LtxFile {
  const found = decodeLtxPageIndex(file, file.length);
  if ("more" in found) throw ltxCorrupt("its index is cut off");
  const pages = new Map<number, Uint8Array>();
  for (const [pgno, { offset, size }] of found.pages) pages.set(pgno, file.subarray(offset, offset + size));
  return { header: decodeLtxHeader(file), pages };
}

function* unpacked(spans: ReadonlyMap<number, Uint8Array>, pageSize: number): Generator<LtxPage> {
  for (const [pgno, span] of spans) {
    const page = decodeLtxPage(span, pageSize);
    if (page.pgno !== pgno) throw ltxCorrupt(`page ${page.pgno} is where page ${pgno} should be`);
    yield { ...page, block: span.subarray(LTX_PAGE_HEADER_BYTES) };
  }
}
