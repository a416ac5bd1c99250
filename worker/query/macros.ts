import type { SqlValue } from "../sqlite/contract.ts";

/** A date as PocketBase stores it: `2006-01-02 15:04:05.000Z`. */
export function dateText(date: Date): string {
  return date.toISOString().replace("T", " ");
}

function at(year: number, month: number, day: number, endOfDay = false): string {
  return dateText(new Date(Date.UTC(year, month, day) + (endOfDay ? 86_399_999 : 0)));
}

/** The macros of the filter language, all in UTC. Date macros are texts, the others numbers. */
export const MACROS: ReadonlyMap<string, (now: Date) => SqlValue> = new Map<string, (now: Date) => SqlValue>([
  ["@now", dateText],
  ["@yesterday", (now) => dateText(new Date(now.getTime() - 86_400_000))],
  ["@tomorrow", (now) => dateText(new Date(now.getTime() + 86_400_000))],
  ["@todayStart", (now) => at(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate())],
  ["@todayEnd", (now) => at(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate(), true)],
  ["@monthStart", (now) => at(now.getUTCFullYear(), now.getUTCMonth(), 1)],
  ["@monthEnd", (now) => at(now.getUTCFullYear(), now.getUTCMonth() + 1, 0, true)],
  ["@yearStart", (now) => at(now.getUTCFullYear(), 0, 1)],
  ["@yearEnd", (now) => at(now.getUTCFullYear(), 11, 31, true)],
  ["@second", (now) => now.getUTCSeconds()],
  ["@minute", (now) => now.getUTCMinutes()],
  ["@hour", (now) => now.getUTCHours()],
  ["@day", (now) => now.getUTCDate()],
  ["@month", (now) => now.getUTCMonth() + 1],
  ["@weekday", (now) => now.getUTCDay()],
  ["@year", (now) => now.getUTCFullYear()],
]);
