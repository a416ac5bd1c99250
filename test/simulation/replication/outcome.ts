/** What a child process of the simulation tells: one line of JSON. */
export interface Outcome {
  seeds: number;
  steps: number;
  faults: number;
  counts: Record<string, number>;
  /** Of the last seed. */
  traceHash: string;
  failure?: { seed: number; message: string; trace: readonly string[] };
}
