import { UserError } from "../../shared/errors.ts";
import type { TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { z } from "zod";
import type { Meta } from "../domain/audit.ts";
import { detachTenant } from "../domain/branch-tenant.ts";
import type { TenantRecord } from "../domain/records.ts";
import type { Runner } from "../domain/runner.ts";
import { isClosed } from "../domain/tenant-parts.ts";
import { type AskParts, askTenant } from "./ask-tenant.ts";

export interface DetacherParts extends AskParts {
  runner: Runner;
  /** Ends everything. */
  stopping: AbortSignal;
}

/**
 * Lets branches copy what they still read of their parents, then ends their need for the pin. Copying may take long: it goes on when
 * whoever asked waits no longer, and broken off anywhere it can be done again, since what was copied stays.
 */
export class Detacher {
  readonly #parts: DetacherParts;
  readonly #running = new Map<TenantId, Promise<TenantRecord>>();

  constructor(parts: DetacherParts) {
    this.#parts = parts;
  }

  /**
   * @returns the record without its origin, or as it is when that takes longer than `signal` allows
   * @throws UserError `conflict` for a branch that nobody may load; what the worker throws
   */
  async detach(branch: TenantRecord, meta: Meta, signal: AbortSignal): Promise<TenantRecord> {
    if (branch.origin === undefined) return branch;
    if (isClosed(branch)) {
      const why = branch.suspended ? "suspended" : branch.state;
      throw new UserError("conflict", `Cannot detach ${branch.slug}: it is ${why}`);
    }
    const work = this.#running.get(branch.id) ?? this.#start(branch, meta);
    const patience = new Promise<TenantRecord>((resolve) => {
      if (signal.aborted) resolve(branch);
      else signal.addEventListener("abort", () => resolve(branch), { once: true });
    });
    return Promise.race([work, patience]);
  }

  #start(branch: TenantRecord, meta: Meta): Promise<TenantRecord> {
    const work = this.#work(branch, meta).finally(() => this.#running.delete(branch.id));
    // Whoever waits sees the failure; nobody may.
    work.catch(() => undefined);
    this.#running.set(branch.id, work);
    return work;
  }

  async #work(branch: TenantRecord, meta: Meta): Promise<TenantRecord> {
    const { runner, stopping } = this.#parts;
    const question = {
      action: "detach" as const,
      method: "POST" as const,
      path: "/_manybase/detach",
      answer: z.object({ uploads: z.number() }),
      timeoutMs: limits.detachCallMs,
    };
    await askTenant(this.#parts, branch, question, stopping);
    return runner.run((view) => detachTenant(view, meta, branch.id), stopping);
  }
}
