import { majority } from "./quorum.ts";
import type { NodeId } from "./types.ts";

export interface Read {
  /** Who asked; its own id on the leader. */
  from: NodeId;
  context: string;
}

interface WaitingRead extends Read {
  sequence: number;
  index: number;
  acknowledged: Set<NodeId>;
}

/**
 * Reads on a leader. A read may be answered at the commit index it saw once a majority has confirmed, after it was asked, that
 * this leader still leads. Numbers rise within a term, and an answer to a later heartbeat confirms all earlier reads.
 */
export class ReadQueue {
  /** Asked before the leader committed an entry of its own term: the commit index is not yet known to be current. */
  #early: Read[] = [];
  #waiting: WaitingRead[] = [];
  #sequence = 0;

  get size(): number {
    return this.#early.length + this.#waiting.length;
  }

  get sequence(): number {
    return this.#sequence;
  }

  clear(): void {
    this.#early = [];
    this.#waiting = [];
  }

  addEarly(read: Read): void {
    this.#early.push(read);
  }

  takeEarly(): Read[] {
    return this.#early.splice(0);
  }

  add(read: Read, index: number, self: NodeId): void {
    this.#sequence += 1;
    this.#waiting.push({ ...read, index, sequence: this.#sequence, acknowledged: new Set([self]) });
  }

  /** The reads that the answer completes. */
  acknowledge(from: NodeId, sequence: number, voters: readonly NodeId[]): (Read & { index: number })[] {
    for (const read of this.#waiting) {
      if (read.sequence <= sequence) read.acknowledged.add(from);
    }
    const needed = majority(voters);
    const confirmed = this.#waiting.findLastIndex(
      (read) => voters.filter((id) => read.acknowledged.has(id)).length >= needed,
    );
    return this.#waiting.splice(0, confirmed + 1);
  }
}
