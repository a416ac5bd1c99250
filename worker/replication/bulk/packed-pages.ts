import { limits } from "../../../shared/limits.ts";
import type { LtxPage } from "../../../shared/ltx/ltx.ts";
import type { BulkChunks } from "./work.ts";

const NUMBER_BYTES = 4;

/** Pages as the only input of a job: each piece holds some, each a big-endian u32 and its bytes. Each is taken when it is asked for. */
export function packedPages(pages: Iterable<LtxPage>, pageSize: number): BulkChunks {
  const left = pages[Symbol.iterator]();
  const each = NUMBER_BYTES + pageSize;
  const count = Math.max(1, Math.floor(limits.pagesPieceBytes / each));
  return {
    // Asynchronous so that what fails here is a rejection.
    async next() {
      const piece = new Uint8Array(count * each);
      const view = new DataView(piece.buffer);
      let at = 0;
      while (at < piece.length) {
        const next = left.next();
        if (next.done === true) break;
        view.setUint32(at, next.value.pgno);
        piece.set(next.value.data, at + NUMBER_BYTES);
        at += each;
      }
      return Promise.resolve(at === 0 ? undefined : piece.subarray(0, at));
    },
  };
}

export function* unpackedPages(piece: Uint8Array, pageSize: number): Generator<LtxPage> {
  const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
  for (let at = 0; at < piece.length; at += NUMBER_BYTES + pageSize) {
    const from = at + NUMBER_BYTES;
    yield { pgno: view.getUint32(at), data: piece.subarray(from, from + pageSize) };
  }
}
