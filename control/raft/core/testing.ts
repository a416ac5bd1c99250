/** Hands for the core's tests: a core driven without a disk or network. */
import { expect } from "bun:test";
import type { RaftOptions } from "./options.ts";
import { RaftCore } from "./raft.ts";
import type { Entry, InitialState, Message, MessageBody, NodeId } from "./types.ts";

export const EMPTY = new Uint8Array();

export function options(id: NodeId, over: Partial<RaftOptions> = {}): RaftOptions {
  return {
    id,
    electionTicks: 10,
    heartbeatTicks: 1,
    random: () => 0,
    messageBytesMax: 1_000,
    inflightMessagesMax: 4,
    inflightBytesMax: 10_000,
    entryBytesMax: 500,
    uncommittedBytesMax: 1_000,
    committedBytesMax: 1_000,
    pendingReadsMax: 4,
    promoteLagMax: 2,
    snapshotTicks: 50,
    ...over,
  };
}

export function initial(voters: NodeId[], over: Partial<InitialState> = {}): InitialState {
  return {
    hardState: { term: 0, vote: null, commit: 0 },
    snapshot: { index: 0, term: 0, membership: { voters, learners: [] }, data: EMPTY },
    entries: [],
    ...over,
  };
}

export function data(index: number, term: number, size = 1): Entry {
  return { index, term, kind: "data", data: new Uint8Array(size) };
}

/** Does what a ready asks for at once; gives the messages and what was applied. */
export function drain(core: RaftCore): { messages: Message[]; applied: Entry[]; reads: string[] } {
  const out = { messages: [] as Message[], applied: [] as Entry[], reads: [] as string[] };
  while (core.hasReady()) {
    const ready = core.ready();
    out.messages.push(...ready.messages);
    out.applied.push(...ready.committed);
    out.reads.push(...ready.readStates.map((read) => read.context));
    core.advance();
  }
  return out;
}

export function from(core: RaftCore, sender: NodeId, term: number, body: MessageBody): Message[] {
  core.step({ from: sender, to: core.status().id, term, ...body });
  return drain(core).messages;
}

/** `a` of a, b, c leads in term 1, its opening entry not yet answered. */
export function leader(over: Partial<RaftOptions> = {}): RaftCore {
  const core = new RaftCore(options("a", over), initial(["a", "b", "c"]));
  core.campaign();
  drain(core);
  from(core, "b", 1, { kind: "pre_vote_response", granted: true });
  from(core, "b", 1, { kind: "vote_response", granted: true });
  expect(core.status().role).toBe("leader");
  return core;
}

export function committedLeader(over: Partial<RaftOptions> = {}): RaftCore {
  const core = leader(over);
  from(core, "b", 1, { kind: "append_response", index: 1 });
  from(core, "c", 1, { kind: "append_response", index: 1 });
  expect(core.status().commit).toBe(1);
  return core;
}

export const append = (previous: [number, number], entries: Entry[], commit: number): MessageBody => {
  return { kind: "append", previousIndex: previous[0], previousTerm: previous[1], entries, commit };
};
