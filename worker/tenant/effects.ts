/** What follows a commit, and cannot change it: one that fails is told to `failed`, and the others run all the same. */
type Failed = (error: unknown) => void;

export function runEffects(effects: readonly (() => void)[], failed: Failed): void {
  for (const effect of effects) {
    try {
      effect();
    } catch (error) {
      failed(error);
    }
  }
}

/** One after another, unless `durable` rejects: then the next owner knows nothing of the commit, so neither may anyone else. */
export async function runWhenDurable(
  durable: Promise<void> | void,
  effects: readonly (() => void | Promise<void>)[],
  failed: Failed,
): Promise<void> {
  try {
    await durable;
  } catch {
    return;
  }
  for (const effect of effects) {
    try {
      await effect();
    } catch (error) {
      failed(error);
    }
  }
}
