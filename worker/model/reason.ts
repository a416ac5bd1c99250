/** SQLite's own words for a class of result codes, which PocketBase's driver puts before the message. */
const CLASSES: Readonly<Record<number, string>> = {
  1: "SQL logic error",
  5: "database is locked",
  6: "database table is locked",
  18: "string or blob too big",
  19: "constraint failed",
  20: "datatype mismatch",
};

/** Why something failed, in the text that PocketBase shows: for SQLite `SQL logic error: no such table: x (1)`. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = (error as { errno?: unknown }).errno;
  if (error.name !== "SQLiteError" || typeof code !== "number") return error.message;
  const kind = CLASSES[code & 0xff];
  if (kind === undefined) return error.message;
  return kind === error.message ? `${kind} (${code})` : `${kind}: ${error.message} (${code})`;
}
