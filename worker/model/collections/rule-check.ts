import type { Collection, Schema } from "../../../shared/schema/collection.ts";
import type { RequestInfo } from "../../query/contract.ts";
import { compileFilter } from "../../query/filter.ts";
import { ruleError } from "./rule-error.ts";

/** Undefined when the rule can be compiled, else why not. */
export type RuleChecker = (schema: Schema, collection: Collection, rule: string) => string | undefined;

const NOBODY: RequestInfo = {
  context: "default",
  method: "GET",
  headers: {},
  query: {},
  body: {},
  auth: null,
};

export const checkRule: RuleChecker = (schema, collection, rule) => {
  try {
    compileFilter(rule, {
      schema,
      collection,
      request: NOBODY,
      allowHidden: true,
      kind: "rule",
      now: () => new Date(),
    });
    return undefined;
  } catch (error) {
    return ruleError(error, rule);
  }
};
