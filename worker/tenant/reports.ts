import type { Epoch, Incarnation, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Due, Positions, ReportRequest } from "../../shared/protocol/internal.ts";
import type { Clock } from "../replication/clock.ts";

export type Report = ReportRequest["reports"][number];

export interface ReportQueueOptions {
  clock: Clock;
  send: (reports: Report[]) => Promise<void>;
}

/**
 * Tells control what became of tenants: the newest of a kind per tenant, in batches, again until control has heard it. Nothing
 * waits for it: a report that is lost with the process only makes a later load read more.
 */
export class ReportQueue {
  readonly #options: ReportQueueOptions;
  readonly #waiting = new Map<string, Report>();
  #sending = false;
  #closed = false;
  #cancelRetry: (() => void) | undefined;

  constructor(options: ReportQueueOptions) {
    this.#options = options;
  }

  serving({ id, epoch, due }: { id: TenantId; epoch: Epoch; due: { dueMs?: Due } }): void {
    this.#add({ tenant: id, epoch, kind: "serving", ...due });
  }

  materialised(tenant: TenantId, epoch: Epoch, base: Positions, cleared: readonly Incarnation[]): void {
    const earlier = this.#waiting.get(`materialised ${tenant}`);
    const still = earlier?.epoch === epoch ? (earlier.cleared ?? []) : [];
    this.#add({ tenant, epoch, kind: "materialised", base, cleared: [...new Set([...still, ...cleared])] });
  }

  /** The tenant has left; what is still to be said of it would be stale. */
  forget(tenant: TenantId): void {
    this.#waiting.delete(`serving ${tenant}`);
    this.#waiting.delete(`materialised ${tenant}`);
  }

  close(): void {
    this.#closed = true;
    this.#waiting.clear();
    this.#cancelRetry?.();
  }

  #add(report: Report): void {
    if (this.#closed) return;
    const key = `${report.kind} ${report.tenant}`;
    this.#waiting.delete(key);
    this.#waiting.set(key, report);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#sending || this.#cancelRetry !== undefined) return;
    this.#sending = true;
    this.#options.clock.soon(() => void this.#send());
  }

  async #send(): Promise<void> {
    const batch = [...this.#waiting].slice(0, limits.controlReportsPerCall);
    for (const [key] of batch) this.#waiting.delete(key);
    if (batch.length > 0 && !this.#closed) {
      try {
        await this.#options.send(batch.map(([, report]) => report));
      } catch {
        // Control may be away for long; newer reports of the same tenant replace these.
        for (const [key, report] of batch) if (!this.#waiting.has(key)) this.#waiting.set(key, report);
        this.#sending = false;
        if (this.#closed) return;
        this.#cancelRetry = this.#options.clock.after(limits.controlReportRetryMs, () => {
          this.#cancelRetry = undefined;
          this.#schedule();
        });
        return;
      }
    }
    this.#sending = false;
    if (this.#waiting.size > 0 && !this.#closed) this.#schedule();
  }
}
