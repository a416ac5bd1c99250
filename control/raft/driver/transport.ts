import type { Message, NodeId } from "../core/types.ts";

/** Between members. Neither order nor delivery is promised; the core lives with loss, repetition and delay. */
export interface Transport {
  /** Queues and returns. A snapshot message travels with `snapshot`, the chunks its data refers to, read as they are sent. */
  send(message: Message, snapshot?: () => Promise<Iterable<Uint8Array>>): void;
  /** Called for each message that arrives; chunks only with a snapshot message, when all of them have arrived. */
  onMessage(receive: (message: Message, snapshot?: readonly Uint8Array[]) => void): void;
  /** The other could not be reached. */
  onUnreachable(report: (id: NodeId) => void): void;
  close(): Promise<void>;
}

/** For a cluster of one. */
export const noTransport: Transport = {
  send() {},
  onMessage() {},
  onUnreachable() {},
  close: () => Promise.resolve(),
};
