/** What a collection is checked against, and the two rules about API rules that its own and its auth options share. */
import type { Collection, Schema } from "../../../shared/schema/collection.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import { fieldError } from "../field-error.ts";
import type { Rule } from "../rules.ts";
import type { RuleChecker } from "./rule-check.ts";

export interface CollectionContext {
  readonly db: SqlReader;
  /** With the collection in it as it will be. */
  readonly schema: Schema;
  readonly collection: Collection;
  readonly before: Collection | undefined;
  readonly checkRule: RuleChecker;
  /** Why the view query cannot be used, if it cannot. */
  readonly viewError: string | undefined;
}

export function usableRule({ checkRule, schema, collection }: CollectionContext): Rule {
  return (value) => {
    if (typeof value !== "string" || value === "") return undefined;
    const reason = checkRule(schema, collection, value);
    return reason === undefined
      ? undefined
      : fieldError(
          "validation_invalid_rule",
          `Invalid rule. Raw error: ${/[.?!]$/.test(reason) ? reason : `${reason}.`}`,
        );
  };
}

export function systemRule({ before }: CollectionContext, old: string | null | undefined): Rule {
  return (value) =>
    before?.system === true && (value ?? null) !== (old ?? null)
      ? fieldError(
          "validation_collection_system_rule_change",
          "System collection API rule cannot be changed.",
        )
      : undefined;
}
