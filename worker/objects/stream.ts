import { UserError } from "../../shared/errors.ts";
import type { ObjectBody } from "../../shared/objects/contract.ts";
import { withDeadline } from "./deadline.ts";

/**
 * The body's chunks; throws `invalid_body` when they are more or fewer bytes than announced, so that no driver
 * can store a cut upload. Cancels the source when the reader stops early.
 */
export async function* exactChunks(
  key: string,
  body: { stream: ReadableStream<Uint8Array>; length: number },
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const reader = body.stream.getReader();
  const onAbort = (): void => void reader.cancel(signal?.reason).catch(() => undefined);
  signal?.addEventListener("abort", onAbort, { once: true });
  let seen = 0;
  let ended = false;
  try {
    signal?.throwIfAborted();
    for (;;) {
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      if (done) break;
      seen += value.length;
      if (seen > body.length) throw wrongLength(key, body.length, `more than ${body.length}`);
      yield value;
    }
    ended = true;
    if (seen < body.length) throw wrongLength(key, body.length, String(seen));
  } finally {
    signal?.removeEventListener("abort", onAbort);
    if (!ended) await reader.cancel(signal?.reason).catch(() => undefined);
  }
}

/** The whole body in memory; for small ones. @throws UserError `invalid_body` */
export async function bytesOf(key: string, body: ObjectBody, signal?: AbortSignal): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body;
  const bytes = new Uint8Array(body.length);
  let at = 0;
  for await (const chunk of exactChunks(key, body, signal)) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function wrongLength(key: string, announced: number, seen: string): UserError {
  return new UserError(
    "invalid_body",
    `Cannot store ${key}: its body has ${seen} bytes, ${announced} were announced`,
  );
}

/** The same bytes as a stream that fails when the signal fires or when no chunk comes for `idleMs`. */
export function guardedStream(
  what: string,
  source: AsyncIterator<Uint8Array>,
  idleMs: number,
  signal: AbortSignal | undefined,
): ReadableStream<Uint8Array> {
  const release = (reason: unknown): void => void source.return?.(reason).catch(() => undefined);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await withDeadline(what, idleMs, signal, () => source.next());
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          release(error);
          throw error;
        }
      },
      cancel: release,
    },
    { highWaterMark: 0 },
  );
}
