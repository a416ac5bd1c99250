import type { VirtualClock } from "../virtual-clock.ts";

/** Lets time pass until the work is done. @throws when nothing came of it in so much virtual time: nothing would end a wait for a clock that stands */
export async function during<T>(clock: VirtualClock, work: Promise<T>, patienceMs = 60_000): Promise<T> {
  let done = false;
  const finished = work.finally(() => {
    done = true;
  });
  finished.catch(() => undefined);
  const untilMs = clock.now() + patienceMs;
  while (!done && clock.now() < untilMs) clock.runUntil(clock.now() + 1);
  if (!done) throw new Error(`nothing came of it in ${patienceMs} ms`);
  return await finished;
}
