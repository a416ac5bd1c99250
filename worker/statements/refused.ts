/** A statement that must not run, or whose answer is larger than its bounds. */
export class SqlRefused extends Error {
  override readonly name = "SqlRefused";
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
