import { limits } from "../../../shared/limits.ts";
import { type Fetching, fetchRange, rangesOf } from "../fetch-object.ts";
import type { BulkChunks } from "./work.ts";

/** An input of a job: an object, or bytes that are here already. */
export type ChunkSource = { key: string; size: number } | { bytes: Uint8Array };

interface Piece {
  input: number;
  read: () => Promise<Uint8Array>;
}

/** Inputs that are read one after the other: pieces of the next ones are fetched ahead, some in parallel. */
export function inTurn(from: Fetching, sources: readonly ChunkSource[]): BulkChunks {
  const pieces = new Prefetch(allPieces(from, sources, limits.restoreRangeBytes), limits.restoreParallelGets);
  return { next: (input) => pieces.next(input) };
}

/** Inputs that are read side by side: of each a piece is fetched ahead. The more there are, the smaller are the pieces. */
export function sideBySide(from: Fetching, sources: readonly ChunkSource[]): BulkChunks {
  const share = Math.floor(limits.bulkWindowsBytesMax / Math.max(1, sources.length) / 2);
  const bytes = Math.min(limits.bulkWindowBytesMax, Math.max(limits.bulkWindowBytesMin, share));
  const inputs = sources.map((source, i) => new Prefetch(pieces(from, source, i, bytes), 1));
  return { next: (input) => inputs[input]?.next(input) ?? Promise.resolve(undefined) };
}

/** A large object as a stream that outlives a broken connection. */
export function objectStream(
  from: Fetching,
  source: { key: string; size: number },
): ReadableStream<Uint8Array> {
  const pieces = inTurn(from, [source]);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = await pieces.next(0);
        if (bytes === undefined) controller.close();
        else controller.enqueue(bytes);
      },
    },
    { highWaterMark: 0 },
  );
}

/** What is asked for next is on its way already. */
class Prefetch {
  readonly #pieces: Iterator<Piece>;
  readonly #width: number;
  readonly #ahead: { input: number; bytes: Promise<Uint8Array> }[] = [];

  constructor(source: Iterator<Piece>, width: number) {
    this.#pieces = source;
    this.#width = width;
  }

  async next(input: number): Promise<Uint8Array | undefined> {
    this.#fill();
    const [first] = this.#ahead;
    if (first?.input !== input) return undefined;
    this.#ahead.shift();
    const bytes = await first.bytes;
    this.#fill();
    return bytes;
  }

  #fill(): void {
    while (this.#ahead.length < this.#width) {
      const { value, done } = this.#pieces.next();
      if (done === true) return;
      const bytes = value.read();
      // Whoever comes to this piece sees the failure; nobody may.
      bytes.catch(() => {});
      this.#ahead.push({ input: value.input, bytes });
    }
  }
}

function* allPieces(
  from: Fetching,
  sources: readonly ChunkSource[],
  bytesMax: number,
): Generator<Piece, undefined> {
  for (const [input, source] of sources.entries()) yield* pieces(from, source, input, bytesMax);
}

function* pieces(
  from: Fetching,
  source: ChunkSource,
  input: number,
  bytesMax: number,
): Generator<Piece, undefined> {
  if ("bytes" in source) {
    yield { input, read: () => Promise.resolve(source.bytes.slice()) };
    return;
  }
  for (const range of rangesOf(source, bytesMax)) yield { input, read: () => fetchRange(from, range) };
}
