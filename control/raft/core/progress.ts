/** What a leader knows of one node. */
export class Progress {
  /** The node's log matches the leader's up to here. */
  match = 0;
  /** Next index to send. In `replicate` it runs ahead of the answers. */
  next: number;
  /** probe: one append at a time until one matches. replicate: a stream. snapshot: nothing until it is installed. */
  state: "probe" | "replicate" | "snapshot" = "probe";
  /** In `probe`: one is on its way. */
  probeSent = false;
  /** In `snapshot`: its index, and the ticks since it was sent. */
  snapshotIndex = 0;
  snapshotElapsed = 0;
  /** Heard from since the last check of the quorum. */
  active = false;
  #inflight: { index: number; bytes: number }[] = [];
  #inflightBytes = 0;
  readonly #messagesMax: number;
  readonly #bytesMax: number;

  constructor(next: number, messagesMax: number, bytesMax: number) {
    this.next = next;
    this.#messagesMax = messagesMax;
    this.#bytesMax = bytesMax;
  }

  get paused(): boolean {
    if (this.state === "replicate") return this.windowFull;
    return this.state === "snapshot" || this.probeSent;
  }

  get windowFull(): boolean {
    return this.#inflight.length >= this.#messagesMax || this.#inflightBytes >= this.#bytesMax;
  }

  toProbe(): void {
    const next = this.state === "snapshot" ? this.snapshotIndex + 1 : this.match + 1;
    this.#reset("probe");
    this.next = Math.max(this.match + 1, next);
  }

  toReplicate(): void {
    this.#reset("replicate");
    this.next = this.match + 1;
  }

  toSnapshot(index: number): void {
    this.#reset("snapshot");
    this.snapshotIndex = index;
  }

  /** The snapshot did not arrive: probe from what is known to match. */
  snapshotFailed(): void {
    this.#reset("probe");
    this.next = this.match + 1;
  }

  sent(lastIndex: number, count: number, bytes: number): void {
    if (this.state === "probe") this.probeSent = true;
    else if (count > 0) {
      this.next = lastIndex + 1;
      this.#inflight.push({ index: lastIndex, bytes });
      this.#inflightBytes += bytes;
    }
  }

  /** An accepted append. False when it tells nothing new. */
  accepted(index: number): boolean {
    this.next = Math.max(this.next, index + 1);
    if (index <= this.match) return false;
    this.match = index;
    this.probeSent = false;
    return true;
  }

  /** A rejected append. False when the answer is older than what is known. */
  rejected(previousIndex: number, probeIndex: number): boolean {
    // It acknowledged that once: an old answer, or one that lost its log. Asking at once again would never end.
    if (previousIndex <= this.match) return false;
    if (this.state === "replicate") {
      this.next = this.match + 1;
      return true;
    }
    if (this.next - 1 !== previousIndex) return false;
    this.next = Math.max(Math.min(previousIndex, probeIndex + 1), this.match + 1);
    this.probeSent = false;
    return true;
  }

  freeTo(index: number): void {
    while (this.#inflight.length > 0 && this.#inflight[0]!.index <= index) this.freeFirst();
  }

  freeFirst(): void {
    this.#inflightBytes -= this.#inflight.shift()?.bytes ?? 0;
  }

  #reset(state: Progress["state"]): void {
    this.state = state;
    this.probeSent = false;
    this.snapshotIndex = 0;
    this.snapshotElapsed = 0;
    this.#inflight = [];
    this.#inflightBytes = 0;
  }
}
