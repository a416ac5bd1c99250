import { majority } from "../../../control/raft/core/quorum.ts";
import type { Entry, Membership, NodeId } from "../../../control/raft/core/types.ts";

export class Violation extends Error {
  override readonly name = "Violation";
}

/** What an observer who sees everything knows; each method throws Violation when a promise of Raft is broken. */
export class Invariants {
  readonly #leaders = new Map<number, NodeId>();
  /** By index - 1: what was committed there, once and for all. */
  readonly #committed: { term: number; content: string }[] = [];
  /** By index: fingerprint of the state after it. */
  readonly #states: number[] = [0];

  get committedIndex(): number {
    return this.#committed.length;
  }

  /** Election safety and leader completeness. */
  leads(id: NodeId, term: number, termAt: (index: number) => number | undefined, compactedTo: number): void {
    const known = this.#leaders.get(term);
    if (known === id) return;
    if (known !== undefined) throw new Violation(`two leaders in term ${term}: ${known} and ${id}`);
    this.#leaders.set(term, id);
    for (let index = compactedTo + 1; index <= this.#committed.length; index++) {
      const committed = this.#committed[index - 1]!;
      // An entry may have been committed in a later term by a leader that this one does not know of yet: it will step down.
      if (committed.term >= term) continue;
      if (termAt(index) !== committed.term) {
        throw new Violation(`leader ${id} of term ${term} lacks committed entry ${index}`);
      }
    }
  }

  /** State machine safety. Returns the fingerprint of the state after the entry. */
  applies(id: NodeId, entry: Entry, stateBefore: number): number {
    const content = contentOf(entry);
    const known = this.#committed[entry.index - 1];
    if (known === undefined) {
      if (entry.index !== this.#committed.length + 1) {
        throw new Violation(
          `${id} applies ${entry.index} before anyone applied ${this.#committed.length + 1}`,
        );
      }
      this.#committed.push({ term: entry.term, content });
      this.#states.push(fingerprint(stateBefore, `${entry.term} ${content}`));
    } else if (known.term !== entry.term || known.content !== content) {
      throw new Violation(`${id} applies another entry at ${entry.index} than was applied before`);
    }
    const state = fingerprint(stateBefore, `${entry.term} ${content}`);
    if (state !== this.#states[entry.index]) throw new Violation(`${id} has another state at ${entry.index}`);
    return state;
  }

  restores(id: NodeId, index: number, state: number): void {
    if (this.#states[index] !== state) throw new Violation(`${id} restores another state at ${index}`);
  }

  /** What a leader holds to be committed is on the disks of a majority. */
  durable(index: number, membership: Membership, has: (id: NodeId) => boolean): void {
    const holders = membership.voters.filter(has).length;
    if (holders < majority(membership.voters)) {
      throw new Violation(`entry ${index} is committed, but durable on ${holders} voters only`);
    }
  }

  /** A node's membership is the newest one in its log. */
  membership(id: NodeId, inForce: Membership, written: Membership): void {
    if (JSON.stringify(inForce) === JSON.stringify(written)) return;
    throw new Violation(
      `${id} goes by ${JSON.stringify(inForce)}, but its log says ${JSON.stringify(written)}`,
    );
  }

  /** Linearizable reads: nothing that was acknowledged before the read was asked is missing. */
  reads(id: NodeId, index: number, acknowledgedBefore: number): void {
    if (index < acknowledgedBefore) {
      throw new Violation(`${id} may read at ${index}, but ${acknowledgedBefore} was acknowledged before`);
    }
  }
}

function contentOf(entry: Entry): string {
  if (entry.kind === "data") return new TextDecoder().decode(entry.data);
  return entry.kind === "noop" ? "noop" : JSON.stringify(entry.membership);
}

function fingerprint(before: number, text: string): number {
  let hash = before ^ 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
