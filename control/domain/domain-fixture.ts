/** For tests: a table without a store. Commands are applied as the store would apply them. */
import type { Epoch, Incarnation, LogSeq, Revision, Slug, TenantId } from "../../shared/ids.ts";
import type { Meta } from "./audit.ts";
import { assignTenant } from "./assign-tenant.ts";
import { intendBlock } from "./blocks.ts";
import { createTenant } from "./create-tenant.ts";
import { declareDead, recordSeal } from "./end-worker.ts";
import { tenantKey } from "./keys.ts";
import type { TenantRecord } from "./records.ts";
import { registerWorker } from "./register-worker.ts";
import { Table } from "./table.ts";
import type { Decision } from "./view.ts";

export const NOW_MS = Date.UTC(2026, 0, 1);

export const slug = (text: string): Slug => text as Slug;
export const seq = (value: number): LogSeq => value as LogSeq;
export const epoch = (value: number): Epoch => value as Epoch;
export const tenantId = (letter: string): TenantId => letter.repeat(15) as TenantId;

export class Domain {
  readonly table = new Table();
  #ids = 0;

  meta(who = "test"): Meta {
    return { who, atMs: NOW_MS, id: String(++this.#ids) };
  }

  /** Applies a decision; a refusal is thrown. @returns the keys it wrote, for looking at what was not changed */
  run<T>(decision: Decision<T>): T {
    if ("reject" in decision) throw decision.reject;
    if ("settled" in decision) return decision.settled;
    const { table } = this;
    for (const { key, modRev } of decision.draft.cmp) {
      if (table.modRev(key) !== modRev) throw new Error(`compare failed: ${key}`);
    }
    const rev = (table.revision + 1) as Revision;
    table.apply(
      decision.draft.then.map((op) =>
        op.kind === "put"
          ? {
              rev,
              kind: "put" as const,
              kv: { key: op.key, value: JSON.parse(JSON.stringify(op.value)) as unknown, modRev: rev },
            }
          : { rev, kind: "delete" as const, key: op.key },
      ),
    );
    return decision.value;
  }

  create(name: string, id = tenantId(name.slice(0, 1))): TenantId {
    return this.run(
      createTenant(this.table, { meta: this.meta(), id, slug: slug(name), durability: "durable" }),
    ).id;
  }

  register(
    nonce: string,
    extra: { replaces?: Incarnation; url?: string; region?: string } = {},
  ): Incarnation {
    if (this.table.revision === 0 || this.table.get("blocks" as never) === undefined) {
      this.run(intendBlock(this.table, this.meta()));
    }
    const request = {
      url: extra.url ?? "http://127.0.0.1:1",
      nonce: nonce.padStart(32, "0"),
      version: "0.1.0",
      nowMs: NOW_MS,
      ...(extra.region === undefined ? {} : { region: extra.region }),
      ...(extra.replaces === undefined ? {} : { replaces: extra.replaces }),
    };
    return this.run(registerWorker(this.table, { meta: this.meta(), request, block: 1 }));
  }

  assign(id: TenantId): TenantRecord {
    return this.run(assignTenant(this.table, this.meta(), id));
  }

  die(incarnation: Incarnation): void {
    this.run(declareDead(this.table, this.meta(), incarnation, { why: "test" }));
  }

  seal(incarnation: Incarnation, endSeq: number): void {
    this.run(recordSeal(this.table, this.meta(), incarnation, seq(endSeq)));
  }

  tenant(id: TenantId): TenantRecord {
    const tenant = this.table.get(tenantKey(id));
    if (tenant === undefined) throw new Error(`no tenant ${id}`);
    return tenant;
  }
}

/** The code of what a decision refuses with; "none" when it does not. */
export function refusal(decision: Decision<unknown>): string {
  if (!("reject" in decision)) return "none";
  return "code" in decision.reject ? String(decision.reject.code) : decision.reject.message;
}
