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

/** Without escapes of what needs none, so that `%72ecords` is `records`; undefined when an escape is broken. */
export function plainPath(path: string): string | undefined {
  if (/%(?![0-9a-f]{2})/i.test(path)) return undefined;
  return path.replace(/%(?:3\d|[46][1-9a-f]|[57][0-9a]|5f|2d|7e)/gi, decodeURIComponent);
}
