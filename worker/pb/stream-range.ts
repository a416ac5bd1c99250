import { limits } from "../../shared/limits.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import type { ByteRange } from "./byte-range.ts";

/** A range of any size in memory of one piece: the next is asked for when the reader wants it. */
export function streamRange(
  store: ObjectStore,
  key: string,
  { offset, length }: ByteRange,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  let done = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = Math.min(limits.restoreRangeBytes, length - done);
        const found = await store.range(key, { offset: offset + done, length: piece }, { signal });
        if (found === undefined || found.bytes.length === 0) {
          throw new Error("Cannot send file: it ended before its range did");
        }
        done += found.bytes.length;
        controller.enqueue(found.bytes);
        if (done >= length) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}
