import type { RequestHead } from "../http1/request-head.ts";
import type { Input } from "./input.ts";

/** The body of a request, read as it is asked for. */
export class RequestBody {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** All of it has been read: what follows is another request. */
  ended = false;

  /** @param proceed tells a client that waits for it to send */
  constructor(input: Input, { length, waits }: RequestHead, proceed: () => Promise<void> | undefined) {
    const next = length === "chunked" ? input.chunked() : input.fixed(length);
    let waiting = waits;
    this.stream = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        pull: async (controller) => {
          try {
            if (waiting && !input.waiting) await proceed();
            waiting = false;
            const part = await next();
            if (part !== undefined) {
              controller.enqueue(part);
              return;
            }
            this.ended = true;
            controller.close();
            input.watch();
          } catch (error) {
            controller.error(error);
          }
        },
      },
      { highWaterMark: 0 },
    );
  }
}
