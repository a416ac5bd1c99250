import type { Random } from "../random.ts";
import { Actor, type Schedule } from "./schedule.ts";

/** Who does something, and what. */
export interface Addressee<T> {
  actor: Actor;
  work: () => T | Promise<T>;
}

/** Carries messages between processes, and answers back. */
export class Messages {
  /** Some are late, and some answers are lost. */
  faulty = true;
  readonly #parts: { schedule: Schedule; random: Random; network: Actor };

  constructor(schedule: Schedule, random: Random) {
    this.#parts = { schedule, random, network: new Actor("network") };
  }

  /**
   * @param find - looks where the addressee is when the message arrives; nobody there is heard of only when `refusable`
   * Rejects with what the work rejects with, or an error of the code `late` or `refused`.
   */
  send<T>(
    from: Actor,
    patienceMs: number,
    what: string,
    find: () => Addressee<T> | undefined,
    twice: boolean,
    refusable = false,
  ): Promise<T> {
    const { schedule, random, network } = this.#parts;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const fail = (code: string): Error => Object.assign(new Error(`${what}: ${code}`), { code });
    const cancel = schedule.at(from, patienceMs, `gives up ${what}`, () => reject(fail("late")));
    const answer = (settle: () => void): void => {
      if (random.chance(this.faulty ? 0.01 : 0)) return;
      schedule.at(from, 0.5 + random.next() * 3, `hears of ${what}`, () => {
        cancel();
        settle();
      });
    };
    for (let i = 0; i < (twice ? 2 : 1); i++) {
      const delayMs = 0.5 + random.next() * (random.chance(0.05) && this.faulty ? 120 : 3);
      schedule.at(network, delayMs, `brings ${what} of ${from.name}`, () => {
        const there = find();
        if (there === undefined) {
          if (refusable) answer(() => reject(fail("refused")));
          return;
        }
        schedule.at(there.actor, 0, `does ${what} for ${from.name}`, () => {
          const sent = (settle: () => void): void => {
            if (there.actor.state !== "dead") answer(settle);
          };
          void (async () => there.work())().then(
            (value) => sent(() => resolve(value)),
            (error: unknown) => sent(() => reject(error)),
          );
        });
      });
    }
    return promise;
  }
}
