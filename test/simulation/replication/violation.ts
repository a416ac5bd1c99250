let first: Violation | undefined;

/** The product broke a promise. It counts from the moment it is made, whoever catches it. */
export class Violation extends Error {
  override readonly name = "Violation";

  constructor(message: string) {
    super(message);
    note(this);
  }
}

function note(violation: Violation): void {
  first ??= violation;
}

/** The first one since the last call. */
export function takeViolation(): Violation | undefined {
  const taken = first;
  first = undefined;
  return taken;
}

/** Where throwing would only disturb who is not to blame. */
export function violated(message: string): void {
  void new Violation(message);
}
