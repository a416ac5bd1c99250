import { HEADERS } from "../../shared/protocol/headers.ts";
import { parseFields } from "../http1/fields.ts";
import type { Outgoing } from "../http1/outgoing.ts";
import type { Exchange } from "./exchange.ts";
import type { Fields, Tunnel } from "./upstream.ts";

/** What goes to a client: lighter than the Web's `Response`, and with the fields as the worker sent them. */
export class Answer {
  readonly status: number;
  /** Not to be changed: other answers may have the same ones. */
  fields: Fields;
  /** More of them, as lines with their ends. */
  #lines = "";
  /** Whose id goes along. */
  #exchange: Exchange | undefined;
  readonly body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;
  /** The worker's end of what the connection is from now on; with status 101. */
  readonly tunnel: Tunnel | undefined;

  constructor(status: number, fields: Fields, body: Answer["body"], tunnel?: Tunnel) {
    this.status = status;
    this.fields = fields;
    this.body = body;
    this.tunnel = tunnel;
  }

  static of(response: Response): Answer {
    return new Answer(response.status, [...response.headers], response.body);
  }

  /** The same with bytes of its own, for later. */
  kept(): Answer {
    const { status, fields, body, tunnel } = this;
    if (!(body instanceof Uint8Array)) return this;
    const answer = new Answer(status, fields, body.slice(), tunnel);
    answer.#lines = this.#lines;
    answer.#exchange = this.#exchange;
    return answer;
  }

  toResponse(): Response {
    const headers = [...this.fields, ...parseFields(this.#lines, 0)];
    if (this.#exchange !== undefined) headers.push([HEADERS.requestId, this.#exchange.requestId]);
    return new Response(this.body, { status: this.status, headers });
  }

  /** In place of what a field of that name said. Once for a name, with a value of one line. */
  set(name: string, value: string): void {
    this.#drop(name);
    this.#lines += `${name}: ${value}\r\n`;
  }

  /** Sets the request's id. Once. */
  identify(exchange: Exchange): void {
    this.#drop(HEADERS.requestId);
    this.#exchange = exchange;
  }

  /** Puts what was set into a head. */
  putLines(out: Outgoing): void {
    this.#exchange?.putId(out);
    if (this.#lines !== "") out.text(this.#lines);
  }

  #drop(name: string): void {
    for (const field of this.fields) {
      if (field[0] !== name) continue;
      this.fields = this.fields.filter((one) => one[0] !== name);
      return;
    }
  }
}
