import type { SqlValue } from "./contract.ts";

/** A function that SQL can call on every connection of a tenant, e.g. `geoDistance`. */
export interface SqlFunction {
  readonly name: string;
  /** Deterministic functions may be hoisted out of loops and used in indexes. Default true. */
  readonly deterministic?: boolean;
  /** Any number of arguments; otherwise `call.length` of them. */
  readonly varargs?: boolean;
  readonly call: (...args: SqlValue[]) => SqlValue;
}
