import type { Fields, Tunnel } from "./upstream.ts";

/** What goes to a client: lighter than the Web's `Response`, and with the fields as the worker sent them. */
export class Answer {
  readonly status: number;
  readonly fields: Fields;
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

  toResponse(): Response {
    return new Response(this.body, { status: this.status, headers: this.fields });
  }

  /** In place of what a field of that name said. */
  set(name: string, value: string): void {
    const { fields } = this;
    const at = fields.findIndex(([one]) => one === name);
    if (at < 0) fields.push([name, value]);
    else fields[at] = [name, value];
  }
}
