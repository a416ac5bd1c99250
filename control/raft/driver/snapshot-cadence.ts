/** When the log since the newest snapshot is long enough for another one. */
export interface SnapshotCadence {
  /** Entries since the newest one. */
  entries: number;
  /** What those entries hold: few large ones make a snapshot due too, because they are kept in memory. */
  logBytes: number;
  /** Of the newest snapshot's size: none before the log has grown by this part of it. */
  stateShare: number;
}

/** What an entry costs beside its content: in memory, and when it is applied again. */
const ENTRY_BYTES = 256;

/**
 * Counts what was applied since the newest snapshot. A snapshot writes the whole state, so one every so many entries would write a
 * large state again and again: the log must have grown in proportion. Then all snapshots together write at most `1 / stateShare` times
 * what the log did, and log and memory stay in proportion to the state.
 */
export class LogGrowth {
  readonly #cadence: SnapshotCadence;
  #stateBytes: number;
  #entries = 0;
  #bytes = 0;

  constructor(cadence: SnapshotCadence, stateBytes: number) {
    this.#cadence = cadence;
    this.#stateBytes = stateBytes;
  }

  applied(bytes: number): void {
    this.#entries += 1;
    this.#bytes += bytes + ENTRY_BYTES;
  }

  get due(): boolean {
    const { entries, logBytes, stateShare } = this.#cadence;
    if (this.#bytes < this.#stateBytes * stateShare) return false;
    return this.#entries >= entries || this.#bytes >= logBytes;
  }

  /** A snapshot of everything applied so far is being taken. */
  taken(): void {
    this.#entries = 0;
    this.#bytes = 0;
  }

  /** Known when it is written. */
  written(stateBytes: number): void {
    this.#stateBytes = stateBytes;
  }
}
