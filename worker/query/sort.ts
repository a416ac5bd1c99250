import { FilterError } from "../../shared/filter/error.ts";
import { limits } from "../../shared/limits.ts";
import { utf8LongerThan } from "./filter.ts";
import { quote, raw, sql, type Fragment } from "./fragment.ts";
import { resolveName } from "./name.ts";
import { NULL_OPERAND } from "./resolved.ts";
import type { Scope } from "./scope.ts";

/**
 * The terms of `-created,+author.name,@random` as ORDER BY terms; joins go to the scope's statement.
 * @throws FilterError for too many or too long terms, unknown names, and names that are no columns.
 */
export function sortExpressions(sort: string, scope: Scope): Fragment[] {
  const terms = sort.split(",");
  if (terms.length > limits.sortTermsMax) {
    throw new FilterError(`Cannot sort: more than ${limits.sortTermsMax} terms`);
  }
  return terms.map((text) => {
    const term = text.trim();
    const descending = term.startsWith("-");
    const name = descending || term.startsWith("+") ? term.slice(1) : term;
    if (utf8LongerThan(name, limits.sortTermCharactersMax)) {
      throw new FilterError(`Cannot sort: a term is longer than ${limits.sortTermCharactersMax} bytes`);
    }
    if (name === "@random") return raw("RANDOM()");
    return sql`${sortColumn(name, scope)} ${descending ? "DESC" : "ASC"}`;
  });
}

function sortColumn(name: string, scope: Scope): Fragment {
  if (name === "@rowid") {
    if (scope.base.type === "view") throw new FilterError("Cannot sort by @rowid: a view has none");
    return raw(`${quote(scope.alias)}._rowid_`);
  }
  const resolved = resolveName(scope, name, "<");
  // Values of the request and constants would sort nothing; a number would even be taken for a column's position.
  if (resolved.like !== undefined || resolved.known || resolved === NULL_OPERAND) {
    throw new FilterError(`Cannot sort by ${name}: no column`);
  }
  return resolved.value;
}
