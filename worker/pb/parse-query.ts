const BAD_ESCAPE = /%(?![\da-f]{2})/i;

/** Whether Go reads all of a query: without `;`, and every `%` begins an escape. */
export function isCleanQuery(text: string): boolean {
  return !text.includes(";") && !BAD_ESCAPE.test(text);
}

/** A query with its question mark, as Go reads it: a pair that it cannot read is not there. */
export function parseQuery(search: string): URLSearchParams {
  if (isCleanQuery(search)) return new URLSearchParams(search);
  return new URLSearchParams(search.slice(1).split("&").filter(isCleanQuery).join("&"));
}
