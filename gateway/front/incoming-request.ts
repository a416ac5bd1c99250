import type { RequestHead } from "../http1/request-head.ts";
import { FieldList, type Incoming } from "../proxy/incoming.ts";

/** A request on a connection of ours. Its body is read when somebody wants it; its signal is made when somebody asks for it. */
export class IncomingRequest implements Incoming {
  readonly method: string;
  readonly url: string;
  readonly headers: FieldList;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
  #controller: AbortController | undefined;
  #left = false;

  constructor({ method, target, fields }: RequestHead, body: IncomingRequest["body"]) {
    this.method = method;
    this.url = target;
    this.headers = new FieldList(fields);
    this.body = body;
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
