import type { Target } from "../simulation/linearizability/recording-client.ts";
import type { Cut } from "./proxy.ts";

/** What a campaign torments: servers that can die, pause and be cut off, and stores that are asked through any of them. */
export interface ChaosTarget {
  names: readonly string[];
  /** One per member. */
  stores: readonly Target[];
  /** Undefined when nobody leads or cannot say. */
  leader(): Promise<string | undefined>;
  signal(name: string, signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void;
  /** After a kill. */
  start(name: string): Promise<void>;
  /** Cuts a member off from all others. */
  cut(name: string, how: Cut): void;
  heal(): void;
  /** What each member says of itself right now: printed when a run makes no progress. */
  describe(): Promise<string[]>;
  close(): Promise<void>;
}
