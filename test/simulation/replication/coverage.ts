/** What a campaign must have met; a count of zero is a failure, since it would prove nothing about it. */
export const COUNTERS = [
  "writes acknowledged",
  "writes of unknown fate",
  "writes refused",
  "reads answered",
  "errors answered",
  "effects after a commit",
  "transactions over several turns",
  "rollbacks",
  "imports",
  "points restored",
  "branches pinned",
  "branches compared",
  "branches founded",
  "branches loaded at their point",
  "loads of branches",
  "vacuums",
  "async writes acknowledged",
  "async writes lost within the bound",
  "workers killed",
  "workers frozen",
  "frozen workers that woke as nobody",
  "control leaders killed",
  "control leaders frozen",
  "sealers killed",
  "seals",
  "second sealers",
  "foreign 412s",
  "own-nonce 412s",
  "answers lost",
  "late effects",
  "duplicate requests",
  "failed requests",
  "outages",
  "hedges",
  "REFs",
  "loads",
  "restores from tails",
  "restores from several tails",
  "double failovers",
  "moves",
  "aborted moves",
  "evictions",
  "clean exits",
  "truncated logs",
  "logs removed",
  "snapshots",
  "files under prefixes",
  "bundles",
  "compacted files",
  "files removed",
  "log objects removed by their writer",
  "foreign checkpoints",
  "tenants stopped",
  "objects hidden",
  "loads refused for a hole",
  "sealed entries",
  "sealed objects",
  "plain texts of plain tenants",
  "key service away",
  "keys lost",
  "loads refused for a lost key",
  "tenants shredded",
  "images compared",
  "files compared",
] as const;
export type Counter = (typeof COUNTERS)[number];

export class Coverage {
  readonly counts: Record<Counter, number>;

  constructor() {
    this.counts = Object.fromEntries(COUNTERS.map((name) => [name, 0])) as Record<Counter, number>;
  }

  add(counter: Counter, by = 1): void {
    this.counts[counter] += by;
  }
}
