/** Snapshots between two members, chunk by chunk; a transfer that was cut off goes on where it stopped. */
import { limits } from "../../../shared/limits.ts";
import type { SentSnapshot } from "../driver/transport.ts";
import { SnapshotHash } from "../log/snapshot-hash.ts";
import type { Frame, SnapshotMessage } from "./frame.ts";

/** False: too much waits to leave already, or there is no link. */
type Send = (frame: Frame) => boolean;

/** The sending side of one peer: the newest snapshot that it was to get. */
export class SnapshotSender {
  readonly #send: Send;
  #message: SnapshotMessage | undefined;
  #sha256 = "";
  #chunks: readonly Uint8Array[] = [];
  /** Sent ahead of what was acknowledged, within a window. */
  #sent = 0;
  /** Something did not leave: nothing more comes of this by itself. */
  #held = false;

  constructor(send: Send) {
    this.#send = send;
  }

  start(message: SnapshotMessage, { chunks, sha256 }: SentSnapshot): void {
    this.#message = message;
    this.#chunks = chunks;
    this.#sha256 = sha256;
    this.offer();
  }

  /** Also after a new connection. */
  offer(): void {
    if (this.#message === undefined) return;
    this.#sent = 0;
    this.#held = !this.#send({
      kind: "offer",
      message: this.#message,
      sha256: this.#sha256,
      chunks: this.#chunks.length,
    });
  }

  /** Now and then, while there is a link: goes on with what did not leave. */
  nudge(): void {
    if (this.#held) this.offer();
  }

  wanted({ sha256, next }: Frame & { kind: "want" }): void {
    if (sha256 !== this.#sha256) return;
    if (next >= this.#chunks.length) {
      this.#message = undefined;
      this.#chunks = [];
      return;
    }
    // The first want of a connection says where to go on, later ones open the window.
    this.#sent = Math.max(this.#sent, next);
    const end = Math.min(this.#chunks.length, next + limits.raftSnapshotWindowChunks);
    for (; this.#sent < end; this.#sent++) {
      const bytes = this.#chunks[this.#sent]!;
      this.#held = !this.#send({ kind: "chunk", sha256, index: this.#sent, bytes });
      if (this.#held) return;
    }
  }
}

/** The receiving side of one peer. */
export class SnapshotReceiver {
  readonly #send: Send;
  readonly #complete: (message: SnapshotMessage, chunks: readonly Uint8Array[]) => void;
  #message: SnapshotMessage | undefined;
  #sha256 = "";
  #expected = 0;
  #chunks: Uint8Array[] = [];
  /** Of the chunks that are here: hashed as they come, because all of them at once would stop everything else for a second. */
  #hash = new SnapshotHash();

  constructor(send: Send, complete: (message: SnapshotMessage, chunks: readonly Uint8Array[]) => void) {
    this.#send = send;
    this.#complete = complete;
  }

  offered({ message, sha256, chunks }: Frame & { kind: "offer" }): void {
    this.#message = message;
    if (sha256 !== this.#sha256) this.#restart();
    this.#sha256 = sha256;
    this.#expected = chunks;
    this.#proceed();
  }

  chunk({ sha256, index, bytes }: Frame & { kind: "chunk" }): void {
    if (sha256 !== this.#sha256 || index !== this.#chunks.length || index >= this.#expected) return;
    // The frame's buffer goes.
    this.#chunks.push(bytes.slice());
    this.#hash.add(bytes);
    this.#proceed();
  }

  #proceed(): void {
    const message = this.#message;
    if (message === undefined) return;
    const complete = this.#chunks.length >= this.#expected;
    if (complete && this.#hash.digest() !== this.#sha256) {
      // Damaged on the way or in memory: from the beginning, when it is offered again.
      this.#restart();
      this.#message = undefined;
      return;
    }
    this.#send({ kind: "want", sha256: this.#sha256, next: this.#chunks.length });
    if (!complete) return;
    const chunks = this.#chunks;
    this.#restart();
    this.#sha256 = "";
    this.#message = undefined;
    this.#complete(message, chunks);
  }

  #restart(): void {
    this.#chunks = [];
    this.#hash = new SnapshotHash();
  }
}
