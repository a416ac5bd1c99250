import type { RequestHead } from "../http1/request-head.ts";
import type { FieldList, Incoming } from "../proxy/incoming.ts";
import type { RequestBody } from "./request-body.ts";

/** A request on a connection of ours. Its body is read when somebody wants it; its signal is made when somebody asks for it. */
export class IncomingRequest implements Incoming {
  readonly method: string;
  readonly url: string;
  readonly headers: FieldList;
  readonly whole: Uint8Array<ArrayBuffer> | undefined;
  #body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
  #controller: AbortController | undefined;
  #left = false;

  /** @param body what is still to be read, or all of it */
  constructor(
    { method, target, headers }: RequestHead,
    body: RequestBody | Uint8Array<ArrayBuffer> | undefined,
  ) {
    this.method = method;
    this.url = target;
    this.headers = headers;
    this.whole = body instanceof Uint8Array ? body : undefined;
    this.#body = body === undefined || body instanceof Uint8Array ? null : body.stream;
  }

  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    if (this.whole !== undefined) this.#body ??= streamOf(this.whole);
    return this.#body;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#left) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** The client is gone. */
  leave(): void {
    this.#left = true;
    this.#controller?.abort();
  }
}

function streamOf(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start: (controller) => {
      controller.enqueue(bytes);
      controller.close();
    },
  });
}
