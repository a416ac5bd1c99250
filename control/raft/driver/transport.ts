import type { StoredResult } from "../../store/remembered-results.ts";
import type { Message, NodeId } from "../core/types.ts";

export interface SentSnapshot {
  chunks: readonly Uint8Array[];
  /** `SnapshotHash` over the chunks, as it was when they were written. */
  sha256: string;
}

/** What a member does with what arrives. */
export interface Receiver {
  /** Chunks only with a snapshot message, when all of them have arrived. */
  message(message: Message, snapshot?: readonly Uint8Array[]): void;
  /** A command that another member forwards because it does not lead. Errors as of `ReplicatedStore.txn`. */
  propose(command: Uint8Array): Promise<StoredResult>;
  /** The other could not be reached. */
  unreachable(id: NodeId): void;
  /** A member says that it is reached there. */
  address(id: NodeId, url: string): void;
}

/** Between members. Neither order nor delivery is promised; the core lives with loss, repetition and delay. */
export interface Transport {
  start(receiver: Receiver): void;
  /** Who the members are, with their addresses as far as known; told again at every change. */
  members(addresses: ReadonlyMap<NodeId, string | undefined>): void;
  /**
   * Queues and returns. A snapshot message travels with the chunks that its data refers to, read when they are sent; undefined when there
   * is a newer one by then.
   */
  send(message: Message, snapshot?: () => Promise<SentSnapshot | undefined>): void;
  /** Rejects with the receiver's SystemError, or any other error when nobody knows what became of it. */
  propose(to: NodeId, command: Uint8Array, signal: AbortSignal): Promise<StoredResult>;
  close(): Promise<void>;
}

/** For a cluster of one. */
export const noTransport: Transport = {
  start() {},
  members() {},
  send() {},
  propose: () => Promise.reject(new Error("there is no other member")),
  close: () => Promise.resolve(),
};
