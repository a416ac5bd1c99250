export interface SplitUrl {
  /** Percent-encoded. */
  path: string;
  /** With its question mark; "" when there is none. */
  search: string;
}

/** Path and query of an absolute http URL that the server has normalised already. */
export function splitUrl(url: string): SplitUrl {
  const start = url.indexOf("/", "https://".length);
  const question = url.indexOf("?", start);
  if (question < 0) return { path: url.slice(start), search: "" };
  return { path: url.slice(start, question), search: url.slice(question) };
}
