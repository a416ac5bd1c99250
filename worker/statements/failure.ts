/** What SQLite said in another process; rules take it for a statement that cannot be used, as they do SQLite's own errors. */
export class StatementFailure extends Error {
  override readonly name = "SQLiteError";
  readonly errno: number;
  readonly code: string;
  /** The transaction that was open is gone. */
  readonly isLost: boolean;

  constructor(message: string, errno: number, code: string, isLost = false) {
    super(message);
    this.errno = errno;
    this.code = code;
    this.isLost = isLost;
  }
}

/** Killed, because it took too much of something. */
export function interrupted(why: string): StatementFailure {
  return new StatementFailure(why, 9, "SQLITE_INTERRUPT", true);
}
