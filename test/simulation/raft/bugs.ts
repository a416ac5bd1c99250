/** Mistakes that people make in Raft, as changes to our sources; the simulator must find each of them. */

export interface Bug {
  name: string;
  /** Below control/raft/. */
  file: string;
  /** Stands there exactly once. */
  find: string;
  replace: string;
}

export const BUGS: readonly Bug[] = [
  {
    name: "votes twice in a term",
    file: "core/election.ts",
    find: "const free = state.vote === message.from ||",
    replace: "const free = true ||",
  },
  {
    name: "votes for a log that lacks entries",
    file: "core/election.ts",
    find: "(free || ahead) && state.log.isUpToDate(message.lastIndex, message.lastTerm)",
    replace: "(free || ahead)",
  },
  {
    name: "forgets its vote in a crash",
    file: "core/state.ts",
    find: "this.vote = this.term === initial.hardState.term ? initial.hardState.vote : null;",
    replace: "this.vote = null;",
  },
  {
    name: "sends its vote before it is on disk",
    file: "core/raft.ts",
    find: "return !ready.termOrVoteChanged && isFromLeader(message);",
    replace: "return ready !== undefined && message !== undefined;",
  },
  {
    name: "a leader counts its own entries before they are on disk",
    file: "core/state.ts",
    find: "return id === this.id ? this.log.stable :",
    replace: "return id === this.id ? this.log.lastIndex :",
  },
  {
    name: "commits an entry of an older term by counting",
    file: "core/replication.ts",
    find: "if (index <= log.committed || !log.matches(index, state.term)) return;",
    replace: "if (index <= log.committed) return;",
  },
  {
    name: "half is a majority",
    file: "core/quorum.ts",
    find: "return Math.floor(voters.length / 2) + 1;",
    replace: "return Math.max(1, Math.ceil(voters.length / 2));",
  },
  {
    name: "takes entries after one that it does not have",
    file: "core/following.ts",
    find: "} else if (log.matches(previousIndex, previousTerm)) {",
    replace: "} else if (log.lastIndex >= previousIndex && log.base.index <= previousIndex) {",
  },
  {
    name: "a heartbeat commits entries that may be others",
    file: "core/heartbeat.ts",
    find: "const commit = Math.min(progress.match, state.log.committed);",
    replace: "const commit = progress === undefined ? 0 : state.log.committed;",
  },
  {
    name: "every append cuts the log behind it",
    file: "core/raft-log.ts",
    find: "const conflict = entries.findIndex((entry) => !this.matches(entry.index, entry.term));",
    replace: "const conflict = entries.length > 0 ? 0 : -1;",
  },
  {
    name: "replaced entries count as on disk",
    file: "core/raft-log.ts",
    find: "this.stable = Math.min(this.stable, from - 1);",
    replace: "",
  },
  {
    name: "reads without asking whether it still leads",
    file: "core/reads.ts",
    find: "if (!state.isOnlyVoter) {",
    replace: "if (state.voters.length === 0) {",
  },
  {
    name: "reads before it knows what is committed",
    file: "core/reads.ts",
    find: "if (state.committedInTerm) answerRead(state, read);",
    replace: 'if (state.role === "leader") answerRead(state, read);',
  },
  {
    name: "changes members while a change is under way",
    file: "core/membership.ts",
    find: "if (state.log.membershipIndex > state.log.committed)",
    replace: "if (state.log.membershipIndex < 0)",
  },
  {
    name: "keeps a membership whose entry was replaced",
    file: "core/raft-log.ts",
    find: "while (this.#memberships.length > 1 && this.#memberships.at(-1)!.index >= from) this.#memberships.pop();",
    replace: "",
  },
  {
    name: "a snapshot carries a membership that is not committed",
    file: "core/raft.ts",
    find: "return { index, term, membership: log.membershipAt(index), data };",
    replace: "return { index, term, membership: log.membership, data };",
  },
  {
    name: "a snapshot takes the newest term for its own",
    file: "core/raft.ts",
    find: "return { index, term, membership: log.membershipAt(index), data };",
    replace: "return { index, term: log.lastTerm, membership: log.membershipAt(index), data };",
  },
  {
    name: "an old snapshot replaces a newer state",
    file: "core/following.ts",
    find: "if (snapshot.index > log.committed) {",
    replace: "if (snapshot.index > 0) {",
  },
  {
    name: "learners count",
    file: "core/state.ts",
    find: "return this.log.membership.voters;",
    replace: "return [...this.log.membership.voters, ...this.log.membership.learners];",
  },
  {
    name: "a rejected append is repeated for ever",
    file: "core/progress.ts",
    find: "this.next = Math.max(Math.min(previousIndex, probeIndex + 1), this.match + 1);",
    replace: "",
  },
];
