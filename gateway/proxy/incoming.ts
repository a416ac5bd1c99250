import type { PassedOn } from "./headers.ts";
import type { Fields } from "./upstream.ts";

/** What a message's fields are read by: the Web's `Headers` are such. */
export interface FieldReader extends Iterable<[name: string, value: string]> {
  get: (name: string) => string | null;
  /** What of them goes on, kept here by who works it out. */
  passedOn?: PassedOn | undefined;
}

/** What the gateway reads of a request. The Web's `Request` is one; those of our own connections are lighter. */
export interface Incoming {
  readonly method: string;
  /** Or its path and query alone. */
  readonly url: string;
  readonly headers: FieldReader;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
  /** The whole body, where it came along with the head: then nobody has to read it. */
  readonly whole?: Uint8Array<ArrayBuffer> | undefined;
  /** Aborted when the client leaves. Asking for it costs something. */
  readonly signal: AbortSignal;
}

/** Fields as they came, never changed. A repeated one is read as the list of its values. */
export class FieldList implements FieldReader {
  readonly fields: Fields;
  passedOn: PassedOn | undefined = undefined;

  constructor(fields: Fields) {
    this.fields = fields;
  }

  get(name: string): string | null {
    let found: string | null = null;
    for (const field of this.fields) {
      if (field[0] === name) found = found === null ? field[1] : `${found}, ${field[1]}`;
    }
    return found;
  }

  [Symbol.iterator](): Iterator<[name: string, value: string]> {
    return this.fields[Symbol.iterator]();
  }
}
