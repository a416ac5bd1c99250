/** Cron expressions as PocketBase reads them: five fields of `*`, numbers, ranges, lists and steps, in UTC, or a macro. */
import { LRUCache } from "lru-cache";
import { limits } from "../../shared/limits.ts";

/** A minute is due when all five fit, days of the month and of the week alike. */
export interface Schedule {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
}

const MACROS: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

const known = new LRUCache<string, { schedule: Schedule | undefined }>({ max: limits.patternCacheMax });

/** Undefined for what is not a cron expression. */
export function parseSchedule(expression: string): Schedule | undefined {
  let entry = known.get(expression);
  if (entry === undefined) {
    entry = { schedule: parse(MACROS[expression] ?? expression) };
    known.set(expression, entry);
  }
  return entry.schedule;
}

function parse(expression: string): Schedule | undefined {
  const fields = expression.split(" ");
  if (fields.length !== 5) return undefined;
  const minutes = parseField(fields[0], 0, 59);
  const hours = parseField(fields[1], 0, 23);
  const days = parseField(fields[2], 1, 31);
  const months = parseField(fields[3], 1, 12);
  const weekdays = parseField(fields[4], 0, 6);
  if (!minutes || !hours || !days || !months || !weekdays) return undefined;
  return { minutes, hours, days, months, weekdays };
}

function parseField(text: string | undefined, least: number, most: number): Set<number> | undefined {
  const slots = new Set<number>();
  for (const part of (text ?? "").split(",")) {
    const match = /^(?:(\*)|(\d{1,4})(?:-(\d{1,4}))?)(?:\/(\d{1,4}))?$/.exec(part);
    if (match === null) return undefined;
    const [, all, first, last, stepText] = match;
    const step = stepText === undefined ? 1 : Number(stepText);
    if (step < 1 || (stepText !== undefined && step > most)) return undefined;
    // A step goes with `*` or a range, not with one number.
    if (all === undefined && last === undefined && step !== 1) return undefined;
    const from = all === undefined ? Number(first) : least;
    const to = all === undefined ? Number(last ?? first) : most;
    if (from < least || to > most || to < from) return undefined;
    for (let slot = from; slot <= to; slot += step) slots.add(slot);
  }
  return slots;
}

export function isDue(schedule: Schedule, timeMs: number): boolean {
  const time = new Date(timeMs);
  return (
    schedule.minutes.has(time.getUTCMinutes()) &&
    schedule.hours.has(time.getUTCHours()) &&
    isDueDay(schedule, time)
  );
}

function isDueDay(schedule: Schedule, time: Date): boolean {
  return (
    schedule.days.has(time.getUTCDate()) &&
    schedule.months.has(time.getUTCMonth() + 1) &&
    schedule.weekdays.has(time.getUTCDay())
  );
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** The first due minute after `afterMs`; undefined when there is none in the years that are looked at (30 February). */
export function nextDueMs(schedule: Schedule, afterMs: number): number | undefined {
  const start = Math.floor(afterMs / MINUTE_MS) * MINUTE_MS + MINUTE_MS;
  const startDay = Math.floor(start / DAY_MS) * DAY_MS;
  for (let day = 0; day <= limits.cronLookAheadDaysMax; day++) {
    const dayMs = startDay + day * DAY_MS;
    if (!isDueDay(schedule, new Date(dayMs))) continue;
    for (const hour of ascending(schedule.hours)) {
      for (const minute of ascending(schedule.minutes)) {
        const timeMs = dayMs + (hour * 60 + minute) * MINUTE_MS;
        if (timeMs >= start) return timeMs;
      }
    }
  }
  return undefined;
}

const ascending = (slots: ReadonlySet<number>): number[] => [...slots].toSorted((a, b) => a - b);
