import type { ObjectBody } from "../../shared/objects/contract.ts";
import { limits } from "../../shared/limits.ts";
import { exactChunks, guardedStream } from "../objects/stream.ts";
import type { DataKeys } from "./data-key.ts";
import { tampered } from "./errors.ts";
import {
  Opener,
  SEALED_HEADER_BYTES,
  type SealedAs,
  Sealer,
  contentSize,
  sealBytes,
  sealedSize,
  segment,
  segmentCount,
} from "./sealed.ts";

type RandomBytes = (length: number) => Uint8Array;

/** A body as it goes to the store. A stream takes the memory of one segment. */
export function sealBody(
  keys: DataKeys,
  as: SealedAs,
  body: ObjectBody,
  randomBytes: RandomBytes,
  signal: AbortSignal | undefined,
): ObjectBody {
  if (body instanceof Uint8Array) return sealBytes(keys, as, body, randomBytes);
  const source = ending(sealedChunks(keys, as, body, randomBytes, signal), body.stream);
  return {
    stream: guardedStream(`seal ${as.name}`, source, limits.storeReadIdleMs, signal),
    length: sealedSize(body.length),
  };
}

/** The content of a stream of a sealed body. @param sealedBytes - of the whole body, as the store says */
export function openStream(
  keys: DataKeys,
  as: SealedAs,
  stream: ReadableStream<Uint8Array>,
  sealedBytes: number,
  signal: AbortSignal | undefined,
): { stream: ReadableStream<Uint8Array>; size: number } {
  const size = contentSize(sealedBytes);
  if (size === undefined) {
    void stream.cancel().catch(() => undefined);
    // Too short for a header, or cut off: which of them is told by whoever reads it.
    throw tampered(as.name, "it is cut off, or plain");
  }
  const source = ending(openedChunks(keys, as, stream, size, signal), stream);
  return { stream: guardedStream(`decrypt ${as.name}`, source, limits.storeReadIdleMs, signal), size };
}

/** A generator that was not begun ends without a look at its stream, which may hold a file open. */
function ending(
  chunks: AsyncGenerator<Uint8Array>,
  stream: ReadableStream<Uint8Array>,
): AsyncIterator<Uint8Array> {
  return {
    next: () => chunks.next(),
    async return(reason: unknown) {
      const ended = await chunks.return(reason);
      // Of one that was begun the stream is locked and cancelled already.
      if (!stream.locked) await stream.cancel(reason);
      return ended;
    },
  };
}

async function* sealedChunks(
  keys: DataKeys,
  as: SealedAs,
  body: { stream: ReadableStream<Uint8Array>; length: number },
  randomBytes: RandomBytes,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const sealer = new Sealer(keys, as, randomBytes);
  yield sealer.header;
  const count = segmentCount(body.length);
  let i = 0;
  const gathered = new Gathered();
  const contentBytes = (): number => {
    const { start, end } = segment(i, body.length);
    return end - start;
  };
  for await (const chunk of exactChunks(as.name, body, signal)) {
    gathered.add(chunk);
    // The last one waits for the end: only then is it known that the source had no more and no less.
    for (; i < count - 1 && gathered.length >= contentBytes(); i++) {
      yield sealer.seal(i, false, gathered.take(contentBytes()));
    }
  }
  yield sealer.seal(i, true, gathered.take(contentBytes()));
}

async function* openedChunks(
  keys: DataKeys,
  as: SealedAs,
  stream: ReadableStream<Uint8Array>,
  size: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const gathered = new Gathered();
  const count = segmentCount(size);
  let opener: Opener | undefined;
  let i = 0;
  const body = { stream, length: sealedSize(size) };
  for await (const chunk of exactChunks(as.name, body, signal)) {
    gathered.add(chunk);
    if (opener === undefined) {
      if (gathered.length < SEALED_HEADER_BYTES) continue;
      opener = new Opener(keys, as, gathered.take(SEALED_HEADER_BYTES).slice());
    }
    for (; i < count; i++) {
      const { sealedStart, sealedEnd } = segment(i, size);
      if (gathered.length < sealedEnd - sealedStart) break;
      const opened = opener.open(i, i === count - 1, gathered.take(sealedEnd - sealedStart));
      if (opened.length > 0) yield opened;
    }
  }
  if (i < count) throw tampered(as.name, "it is cut off");
}

/** Chunks of any size in, parts of wanted sizes out. */
class Gathered {
  #chunks: Uint8Array[] = [];
  length = 0;

  add(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  /** The next `length` bytes, which are there. */
  take(length: number): Uint8Array {
    const [first] = this.#chunks;
    this.length -= length;
    if (first !== undefined && first.length >= length) {
      if (first.length === length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(length);
      return first.subarray(0, length);
    }
    const taken = new Uint8Array(length);
    let at = 0;
    while (at < length) {
      const chunk = this.#chunks.shift() as Uint8Array;
      const part = chunk.subarray(0, length - at);
      taken.set(part, at);
      at += part.length;
      if (part.length < chunk.length) this.#chunks.unshift(chunk.subarray(part.length));
    }
    return taken;
  }
}
