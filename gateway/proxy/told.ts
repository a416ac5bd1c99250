/** Who is told how something ended, once. A call costs much less than a promise, of which a request would need a dozen. */
export interface Told<T> {
  /** Must not throw. */
  done: (value: T) => void;
  /** Must not throw. */
  failed: (error: unknown) => void;
}

/** The same as a promise, for who waits anyway. */
export function promised<T>(start: (told: Told<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => start({ done: resolve, failed: reject }));
}

/** Tells of a promise. */
export function tellOf<T>(promise: Promise<T>, told: Told<T>): void {
  promise.then(
    (value) => told.done(value),
    (error: unknown) => told.failed(error),
  );
}
