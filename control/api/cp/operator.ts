import type { Context } from "hono";
import type { OperatorScope } from "../../domain/records.ts";

/** Who calls the operators' API: the token's name and what it may. */
export interface Operator {
  name: string;
  scopes: OperatorScope[];
  /** Lower-case hex of the token. */
  sha256: string;
}

export interface CpEnv {
  Variables: { operator: Operator };
}

export type CpContext<Path extends string = string> = Context<CpEnv, Path>;

/** For the audit log. */
export function auditName(operator: Operator): string {
  return `operator:${operator.name}`;
}
