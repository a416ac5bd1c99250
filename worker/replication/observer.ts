/** Told what happened and how long it took, for histograms; counters are in `TenantHost.metrics()`. */
export interface ReplicationObserver {
  /** One log object is in its slot. */
  flushed(bytes: number, entries: number, tookMs: number): void;
  /** An answer waited for what it had seen. */
  gateWaited(ms: number): void;
  /** A tenant's files were written from object storage. */
  restored(ms: number): void;
}
