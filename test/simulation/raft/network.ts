import { Packr } from "msgpackr";
import type { Message, NodeId } from "../../../control/raft/core/types.ts";
import type { Clock } from "../../../control/raft/driver/clock.ts";
import type { Receiver, SentSnapshot, Transport } from "../../../control/raft/driver/transport.ts";
import type { StoredResult } from "../../../control/store/remembered-results.ts";
import type { Random } from "../random.ts";

const packr = new Packr({ useRecords: false });

/** Joins members in memory. Messages are late, lost, doubled and out of order as `faults` say. */
export class SimulatedNetwork {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #receivers = new Map<NodeId, Receiver>();
  readonly #cut = new Set<string>();
  faults = { lossRate: 0, doubleRate: 0, delayMsMax: 2 };
  /** After it a forwarded request counts as lost. */
  requestMs = 1_000;
  delivered = 0;
  /** Of the delivered: snapshots. */
  snapshots = 0;
  lost = 0;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  transport(id: NodeId): Transport {
    let receiver: Receiver | undefined;
    return {
      start: (given) => {
        receiver = given;
        this.#receivers.set(id, given);
      },
      members() {},
      // A process that is gone says nothing any more.
      send: (message, snapshot) => {
        if (this.#receivers.get(id) === receiver) this.#send(message, snapshot);
      },
      propose: (to, command, signal) => this.#propose(id, to, command, signal),
      close: () => {
        if (this.#receivers.get(id) === receiver) this.#receivers.delete(id);
        return Promise.resolve();
      },
    };
  }

  /** The process is gone: what is on its way to it is lost. */
  detach(id: NodeId): void {
    this.#receivers.delete(id);
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cut.add(`${from}>${to}`);
  }

  join(): void {
    this.#cut.clear();
  }

  #send(message: Message, snapshot: (() => Promise<SentSnapshot | undefined>) | undefined): void {
    const times = this.#random.chance(this.faults.doubleRate) ? 2 : 1;
    for (let i = 0; i < times; i++) {
      void (async () => {
        // Entries of what arrives are parts of it: of the packer's own buffer, which is four times as large, they would keep all.
        const sent = Uint8Array.prototype.slice.call(packr.pack(message));
        const chunks = (await snapshot?.().catch(() => undefined))?.chunks;
        if (snapshot !== undefined && chunks === undefined) return;
        if (!(await this.#travel(message.from, message.to))) return;
        if (chunks !== undefined) this.snapshots += 1;
        const receiver = this.#receivers.get(message.to);
        const arrived = packr.unpack(sent) as Message;
        receiver?.message(arrived, chunks);
      })();
    }
  }

  async #propose(from: NodeId, to: NodeId, command: Uint8Array, signal: AbortSignal): Promise<StoredResult> {
    const lost = new Promise<never>((_, reject) => {
      this.#clock.after(this.requestMs, () => reject(new Error("no answer")));
      signal.addEventListener("abort", () => reject(new Error("aborted")));
    });
    const answer = async (): Promise<StoredResult> => {
      const receiver = (await this.#travel(from, to)) ? this.#receivers.get(to) : undefined;
      if (receiver === undefined) return lost;
      const result = await receiver.propose(command).then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      );
      if (!(await this.#travel(to, from))) return lost;
      if ("error" in result) throw result.error;
      return result.value;
    };
    return Promise.race([answer(), lost]);
  }

  /** Takes its time; false when it is lost on the way. */
  async #travel(from: NodeId, to: NodeId): Promise<boolean> {
    await new Promise<void>((resolve) => {
      this.#clock.after(this.#random.next() * this.faults.delayMsMax, resolve);
    });
    const arrives = !this.#cut.has(`${from}>${to}`) && !this.#random.chance(this.faults.lossRate);
    if (arrives) this.delivered += 1;
    else this.lost += 1;
    return arrives;
  }
}
