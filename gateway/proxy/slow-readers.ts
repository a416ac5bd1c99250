import { limits } from "../../shared/limits.ts";

interface Reader {
  /** When what was handed out should have been taken; undefined while it waits for the worker, which is not its fault. */
  dueAtMs: number | undefined;
  giveUp: () => void;
}

/**
 * Ends answers whose clients do not read them. Only the time counts between handing out a part and being asked for the next one: a
 * stream that has nothing to send may be silent for ever. One timer looks at all of them.
 */
export class SlowReaders {
  readonly #open = new Set<Reader>();
  readonly #waitMs: number;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(waitMs: number = limits.bodyWaitMsMax) {
    this.#waitMs = waitMs;
  }

  get watching(): number {
    return this.#open.size;
  }

  /**
   * The same bytes, and the end of both sides when the client stops taking them.
   *
   * @param hangUp ends the client's connection, which a broken stream alone does not while its bytes wait to be taken
   */
  watch(body: ReadableStream<Uint8Array>, hangUp?: () => void): ReadableStream<Uint8Array> {
    const source = body.getReader();
    let fail: ((error: Error) => void) | undefined;
    const reader: Reader = {
      dueAtMs: undefined,
      giveUp: () => {
        this.#end(reader);
        const error = new Error("the client did not read the answer");
        void source.cancel(error).catch(() => undefined);
        fail?.(error);
        hangUp?.();
      },
    };
    this.#open.add(reader);
    this.#timer ??= setInterval(() => this.#look(), Math.min(1_000, this.#waitMs / 2));
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          fail = (error) => controller.error(error);
        },
        pull: async (controller) => {
          reader.dueAtMs = undefined;
          try {
            const { done, value } = await source.read();
            if (done) {
              this.#end(reader);
              controller.close();
              return;
            }
            const earnedMs = (value.length / limits.readerBytesPerSecondMin) * 1000;
            reader.dueAtMs = performance.now() + this.#waitMs + earnedMs;
            controller.enqueue(value);
          } catch (error) {
            this.#end(reader);
            throw error;
          }
        },
        cancel: (reason) => {
          this.#end(reader);
          return source.cancel(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  #end(reader: Reader): void {
    this.#open.delete(reader);
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const nowMs = performance.now();
    for (const reader of this.#open) {
      if (reader.dueAtMs !== undefined && nowMs > reader.dueAtMs) reader.giveUp();
    }
  }
}
