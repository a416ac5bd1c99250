import type { StoredResult } from "../../store/remembered-results.ts";
import { limits } from "../../../shared/limits.ts";
import type { Message, NodeId } from "../core/types.ts";
import type { Receiver, SentSnapshot } from "../driver/transport.ts";
import { Calls, failureOf } from "./calls.ts";
import type { Frame, Sealer, SnapshotMessage } from "./frame.ts";
import { SnapshotReceiver, SnapshotSender } from "./snapshot-transfer.ts";

/** An open WebSocket, whichever side dialled. */
export interface Socket {
  send(bytes: Uint8Array): void;
  /** Bytes given to `send` that have not left. */
  buffered(): number;
  close(): void;
}

export interface Link {
  socket: Socket;
  /** Signs what leaves. */
  out: Sealer;
  /** Checks what comes. */
  in: Sealer;
  /** It was dialled by the one of the two whose turn that is. */
  preferred: boolean;
}

/** One other member: at most one link to it, and what is under way over it. */
export class Peer {
  readonly id: NodeId;
  address: string | undefined;
  readonly #receiver: Receiver;
  readonly #now: () => number;
  readonly #calls = new Calls();
  readonly #sender: SnapshotSender;
  readonly #incoming: SnapshotReceiver;
  #link: Link | undefined;
  #heardAtMs = 0;
  #sentAtMs = 0;

  constructor(id: NodeId, receiver: Receiver, now: () => number) {
    this.id = id;
    this.#receiver = receiver;
    this.#now = now;
    const send = (frame: Frame): boolean => this.#send(frame);
    this.#sender = new SnapshotSender(send);
    this.#incoming = new SnapshotReceiver(send, (message, chunks) => receiver.message(message, chunks));
  }

  get linked(): boolean {
    return this.#link !== undefined;
  }

  /**
   * The newest link counts: an older one may be dead without knowing. But when both dial at once and each took the other's for the newer
   * one, both would be closed, on a slow machine again and again: a preferred link that was just heard of stays.
   *
   * @returns false when the new link was closed instead
   */
  adopt(link: Link): boolean {
    const before = this.#link;
    const heardMs = this.#now() - this.#heardAtMs;
    if (before?.preferred === true && !link.preferred && heardMs < 2 * limits.raftLinkPingMs) {
      link.socket.close();
      return false;
    }
    this.#link = link;
    this.#heardAtMs = this.#now();
    this.#sentAtMs = this.#now();
    if (before !== undefined) {
      this.#calls.lost();
      before.socket.close();
    }
    this.#sender.offer();
    return true;
  }

  /** False when that link was not in use any more. */
  dropped(socket: Socket): boolean {
    if (this.#link?.socket !== socket) return false;
    this.#link = undefined;
    this.#calls.lost();
    this.#receiver.unreachable(this.id);
    return true;
  }

  close(): void {
    this.#link?.socket.close();
    this.#link = undefined;
    this.#calls.lost();
  }

  send(message: Message): void {
    if (!this.#send({ kind: "message", message }) && this.linked) this.#receiver.unreachable(this.id);
  }

  sendSnapshot(message: SnapshotMessage, snapshot: SentSnapshot): void {
    this.#sender.start(message, snapshot);
  }

  propose(command: Uint8Array, signal: AbortSignal): Promise<StoredResult> {
    return this.#calls.call(command, (frame) => this.#send(frame), signal);
  }

  /** @throws SystemError when the frame is not the peer's: the link is to be closed */
  received(socket: Socket, bytes: Uint8Array): void {
    const link = this.#link;
    if (link?.socket !== socket) return;
    const frame = link.in.open(bytes);
    this.#heardAtMs = this.#now();
    this.#handle(frame);
  }

  /**
   * Now and then: keeps the link alive, and ends one that has fallen silent. A socket that closed before it was adopted has told that to
   * nobody and never will, so its end is not waited for here. True when the link was dropped.
   */
  check(): boolean {
    const now = this.#now();
    const link = this.#link;
    if (link === undefined) return false;
    if (now - this.#heardAtMs < limits.raftLinkSilentMs) {
      if (now - this.#sentAtMs >= limits.raftLinkPingMs) this.#send({ kind: "ping" });
      this.#sender.nudge();
      return false;
    }
    link.socket.close();
    return this.dropped(link.socket);
  }

  #handle(frame: Frame): void {
    switch (frame.kind) {
      case "message":
        if (frame.message.from === this.id) this.#receiver.message(frame.message);
        break;
      case "propose":
        this.#answer(frame.id, frame.command);
        break;
      case "result":
      case "failure":
        this.#calls.answered(frame);
        break;
      case "offer":
        this.#incoming.offered(frame);
        break;
      case "want":
        this.#sender.wanted(frame);
        break;
      case "chunk":
        this.#incoming.chunk(frame);
        break;
      case "ping":
        break;
    }
  }

  #answer(id: number, command: Uint8Array): void {
    const link = this.#link;
    this.#receiver.propose(command).then(
      (result) => this.#reply(link, { kind: "result", id, result }),
      (error: unknown) => this.#reply(link, failureOf(id, error)),
    );
  }

  /** Numbers of calls belong to the link that they came over. */
  #reply(link: Link | undefined, frame: Frame): void {
    if (this.#link === link) this.#send(frame);
  }

  #send(frame: Frame): boolean {
    const link = this.#link;
    if (link === undefined || link.socket.buffered() > limits.raftLinkQueueBytesMax) return false;
    this.#sentAtMs = this.#now();
    link.socket.send(link.out.seal(frame));
    return true;
  }
}
