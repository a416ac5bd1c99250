/** SQL over columns that hold JSON, or plain text where JSON is expected (older rows, fields that changed their type). */
import { bound, sql, type Fragment } from "./fragment.ts";

function array(column: Fragment): Fragment {
  return sql`iif(json_valid(${column}), json_type(${column}) = 'array', FALSE)`;
}

/** A table with a row per element; a value that is no array counts as its only element. */
export function jsonEach(column: Fragment): Fragment {
  return sql`json_each(CASE WHEN ${array(column)} THEN ${column} ELSE json_array(${column}) END)`;
}

/** The number of elements: 0 for NULL and "", 1 for any other value that is no array. */
export function jsonLength(column: Fragment): Fragment {
  const single = sql`CASE WHEN ${column} = '' OR ${column} IS NULL THEN json_array() ELSE json_array(${column}) END`;
  return sql`json_array_length(CASE WHEN ${array(column)} THEN ${column} ELSE (${single}) END)`;
}

/** The value at a path like `.a.b[0]` ("" for the whole); a value that is no JSON counts as a JSON string. */
export function jsonExtract(column: Fragment, path: string): Fragment {
  const inside = bound(() => `$${path}`);
  const wrapped = bound(() => `$.pb${path}`);
  return sql`(CASE WHEN json_valid(${column}) THEN json_extract(${column}, ${inside}) ELSE json_extract(json_object('pb', ${column}), ${wrapped}) END)`;
}
