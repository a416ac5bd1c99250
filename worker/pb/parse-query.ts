/** A `%` that begins no escape: Go reads no URL with one. */
export const BAD_ESCAPE = /%(?![\da-f]{2})/i;

/** Whether Go reads all of a query: without `;`, and every `%` begins an escape. */
export function isCleanQuery(text: string): boolean {
  return !text.includes(";") && !BAD_ESCAPE.test(text);
}

/** Neither escapes nor a `+` nor a `;`: names and values stand in it as they are. */
const PLAIN = /^\?[\w.~*=&,:()'!@$/?-]*$/;

/** As `firstValues` of `parseQuery`. */
export function firstOfSearch(search: string): Record<string, string> {
  if (!PLAIN.test(search)) return firstValues(parseQuery(search));
  const values = noValues();
  for (const pair of search.slice(1).split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    if (equals < 0) values[pair] ??= "";
    else values[pair.slice(0, equals)] ??= pair.slice(equals + 1);
  }
  return values;
}

/** Inherits nothing: a name like `constructor` is free. */
function noValues(): Record<string, string> {
  return Object.create(null) as Record<string, string>;
}

export function firstValues(query: URLSearchParams): Record<string, string> {
  const values = noValues();
  for (const [name, value] of query) values[name] ??= value;
  return values;
}

/** A query with its question mark, as Go reads it: a pair that it cannot read is not there. */
export function parseQuery(search: string): URLSearchParams {
  if (isCleanQuery(search)) return new URLSearchParams(search);
  return new URLSearchParams(search.slice(1).split("&").filter(isCleanQuery).join("&"));
}
