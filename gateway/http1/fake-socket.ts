import type { Socket } from "../proxy/upstream.ts";
import type { Outgoing } from "./outgoing.ts";
import { sendByWrite } from "./send-by-write.ts";

/** For tests: the far end of a connection. What was written to it, and what it says next. */
export class FakeSocket implements Socket {
  written = "";
  closed = false;
  /** It takes nothing more. */
  stuck = false;
  unsent = false;
  #said: Uint8Array[] = [];
  #ended = false;
  #reader: (() => void) | undefined;

  /** Latin-1 text. */
  say(text: string): void {
    this.#said.push(Uint8Array.from(text, (c) => c.charCodeAt(0)));
    this.#reader?.();
  }

  end(): void {
    this.#ended = true;
    this.#reader?.();
  }

  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.closed) throw new Error("closed");
      const next = this.#said.shift();
      if (next !== undefined) {
        const part = next.subarray(0, into.length);
        into.set(part);
        if (part.length < next.length) this.#said.unshift(next.subarray(part.length));
        return part.length;
      }
      if (this.#ended) return null;
      await new Promise<void>((resolve) => (this.#reader = resolve));
    }
  }

  receive(told: (bytes: Uint8Array<ArrayBuffer> | null) => void): void {
    const into = new Uint8Array(4_096);
    this.read(into).then(
      (read) => {
        told(read === null ? null : into.subarray(0, read));
        into.fill(0);
      },
      () => told(null),
    );
  }

  send(head: Outgoing, body: Uint8Array | null): Promise<void> {
    return sendByWrite(this, head.copy(body));
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.closed) return Promise.reject(new Error("closed"));
    if (this.stuck) return new Promise(() => undefined);
    // Never more than a little at a time, as a full socket does.
    const part = bytes.subarray(0, 50);
    this.written += String.fromCharCode(...part);
    return Promise.resolve(part.length);
  }

  close(): void {
    this.closed = true;
    this.#reader?.();
  }
}
