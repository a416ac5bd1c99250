import { limits } from "../../shared/limits.ts";
import type { DatabaseCapture } from "../replication/capture.ts";
import type { Lagging } from "../replication/gate.ts";
import type { DatabasePosition } from "../replication/position.ts";
import type { DatabaseHome } from "./database-home.ts";

/** How far a database is ahead of object storage, as of a moment ago. */
export class DatabaseLag implements Lagging {
  readonly async: boolean;
  readonly position: DatabasePosition;
  /** Of pages that are being encoded. */
  cuttingBytes = 0;
  readonly #home: DatabaseHome;
  readonly #capture: () => DatabaseCapture | undefined;
  #lookedMs = -Infinity;
  #walBytes = 0;

  constructor(
    home: DatabaseHome,
    async: boolean,
    position: DatabasePosition,
    capture: () => DatabaseCapture | undefined,
  ) {
    this.#home = home;
    this.async = async;
    this.position = position;
    this.#capture = capture;
  }

  /** Bytes that are not durable: what was cut, and what the next cut will hold. */
  readonly lagBytes = (): number => {
    const pendingBytes = this.position.pendingBytes + this.cuttingBytes;
    const capture = this.#capture();
    if (!this.position.dirty || capture === undefined) return pendingBytes;
    const { clock, gate } = this.#home;
    const nowMs = clock.monotonicMs();
    // Asked for with each request, and a look costs more than many requests do otherwise.
    if (nowMs - this.#lookedMs >= limits.asyncLagLookMs) {
      this.#lookedMs = nowMs;
      this.#walBytes = capture.unreadBytes(gate.asyncLagBytesMax / 2 - pendingBytes);
    }
    return pendingBytes + this.#walBytes;
  };

  /** The next cut is worth its object: later ones would have to wait for it. */
  get isWorthCut(): boolean {
    return this.lagBytes() > this.#home.gate.asyncLagBytesMax / 2;
  }

  /** A cut was made: what is in the WAL is another question now. */
  cut(): void {
    this.#lookedMs = -Infinity;
  }
}
