import type { Incarnation, Revision, TenantId } from "../../shared/ids.ts";
import type { Op } from "../store/contract.ts";
import type { Key } from "./keys.ts";
import type { TokenRecord, WorkerRecord } from "./records.ts";

/** What a command may look at: one replica's state at one revision. Records are never changed in place. */
export interface View {
  readonly revision: Revision;
  get<T>(key: Key<T>): T | undefined;
  /** 0 when there is no such key. */
  modRev(key: string): Revision;
  /** Tenants whose record names this owner. */
  tenantsOf(incarnation: Incarnation): ReadonlySet<TenantId>;
  workers(): Iterable<WorkerRecord>;
  /** Whether a tenant belongs to this incarnation or may need its log. */
  isNamed(incarnation: Incarnation): boolean;
  /** Tenants that still read of this one's prefix. */
  branchesOf(id: TenantId): ReadonlySet<TenantId>;
  /** Operators' tokens by hash. */
  tokens(): Iterable<[string, TokenRecord]>;
}

/** The compared keys must still be as the view showed them when `then` is applied. */
export interface Draft {
  cmp: { key: string; modRev: Revision }[];
  then: Op[];
}

/** What a command makes of a view: a change, nothing to do, or a refusal (an error to throw). */
export type Decision<T> = { draft: Draft; value: T } | { settled: T } | { reject: Error };

/** A pure function of the view and what it closed over; runs again when a compare failed. */
export type Command<T> = (view: View) => Decision<T>;

export function draft(view: View, compared: readonly string[], then: Op[]): Draft {
  return { cmp: compared.map((key) => ({ key, modRev: view.modRev(key) })), then };
}

export function put<T>(key: Key<T>, value: T): Op {
  return { kind: "put", key, value };
}

export function remove(key: Key<unknown>): Op {
  return { kind: "delete", key };
}
