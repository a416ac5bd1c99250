/// <reference lib="deno.ns" />
import { limits } from "../../shared/limits.ts";
import { putLatin1, withHead } from "../http1/head.ts";
import { sendByWrite } from "../http1/send-by-write.ts";
import type { Socket } from "../proxy/upstream.ts";

/** Held by every open connection, also by one that waits for events. */
const READ_BYTES = 4 * 1024;

type Told = (bytes: Uint8Array<ArrayBuffer> | null) => void;

/** Where what goes out is put together. The system may take it later, so that each belongs to one write until it has. */
const together: Uint8Array<ArrayBuffer>[] = [];

/** A connection of Deno's, which reads when it is asked to. */
export class DenoSocket implements Socket {
  readonly #connection: Deno.Conn;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #told: Told | undefined;

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#connection.read(into);
  }

  receive(told: Told): void {
    this.#told = told;
    this.#connection.read(this.#buffer).then(this.#came, this.#broke);
  }

  readonly #came = (read: number | null): void => {
    const told = this.#told;
    this.#told = undefined;
    told?.(read === null || read === 0 ? null : this.#buffer.subarray(0, read));
  };

  readonly #broke = (): void => this.#came(null);

  write(bytes: Uint8Array): Promise<number> {
    return this.#connection.write(bytes);
  }

  send(head: string, body: Uint8Array | null): Promise<void> {
    const length = head.length + (body?.length ?? 0);
    if (length > limits.sendTogetherBytesMax) {
      return sendByWrite(this, withHead(head, body ?? new Uint8Array()));
    }
    const bytes = together.pop() ?? new Uint8Array(limits.sendTogetherBytesMax);
    putLatin1(head, bytes);
    if (body !== null) bytes.set(body, head.length);
    return this.#send(bytes, length);
  }

  async #send(bytes: Uint8Array<ArrayBuffer>, length: number): Promise<void> {
    try {
      await sendByWrite(this, bytes.subarray(0, length));
    } finally {
      if (together.length < limits.sendBuffersKeptMax) together.push(bytes);
    }
  }

  closeWrite(): Promise<void> {
    return this.#connection.closeWrite();
  }

  close(): void {
    this.#connection.close();
  }
}
