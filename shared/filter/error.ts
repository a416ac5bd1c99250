/**
 * `invalid`: the text cannot be parsed or resolved (400 with PocketBase's generic text).
 * `forbidden`: it asks for what only superusers may (403; the message is PocketBase's own and meant for the client).
 */
export type FilterErrorKind = "invalid" | "forbidden";

/** A filter, rule or sort that cannot be used. */
export class FilterError extends Error {
  override readonly name = "FilterError";
  readonly kind: FilterErrorKind;
  /** Where in the text, in UTF-16 units from 0; undefined when it is not one place. */
  readonly position: number | undefined;

  constructor(message: string, position?: number, kind: FilterErrorKind = "invalid") {
    super(position === undefined ? message : `${message} at character ${position + 1}`);
    this.kind = kind;
    this.position = position;
  }
}
