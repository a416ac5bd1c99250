import { describe, expect, test } from "bun:test";
import { isDue, nextDueMs, parseSchedule } from "./schedule.ts";

describe("parseSchedule", () => {
  test.each([
    "",
    "* * * *",
    "* * * * * *",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 7",
    "5-3 * * * *",
    "1-2-3 * * * *",
    "*/0 * * * *",
    "*/60 * * * *",
    "5/2 * * * *",
    "1,, * * * *",
    "*  * * * *",
    "MON * * * *",
    "@sometimes",
  ])("refuses %p", (expression) => {
    expect(parseSchedule(expression)).toBeUndefined();
  });

  test("reads lists, ranges and steps", () => {
    const schedule = parseSchedule("1,5-7,10-20/5 */6 1 1-3 0");
    expect([...(schedule?.minutes ?? [])]).toEqual([1, 5, 6, 7, 10, 15, 20]);
    expect([...(schedule?.hours ?? [])]).toEqual([0, 6, 12, 18]);
    expect([...(schedule?.months ?? [])]).toEqual([1, 2, 3]);
  });
});

describe("isDue and nextDueMs", () => {
  const at = (text: string): number => Date.parse(text);
  test.each([
    ["*/15 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:15:00Z"],
    ["*/15 * * * *", "2026-01-01T00:14:59.999Z", "2026-01-01T00:15:00Z"],
    ["0 0 * * *", "2026-01-31T12:00:00Z", "2026-02-01T00:00:00Z"],
    ["30 6 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T06:30:00Z"],
    ["0 0 13 * 5", "2026-01-01T00:00:00Z", "2026-02-13T00:00:00Z"],
    ["@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"],
    ["@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"],
  ])("%s after %s is %s", (expression, after, next) => {
    const schedule = parseSchedule(expression);
    if (schedule === undefined) throw new Error("expected a schedule");
    const due = nextDueMs(schedule, at(after));
    expect(new Date(due ?? 0).toISOString()).toBe(new Date(at(next)).toISOString());
    expect(isDue(schedule, at(next) + 59_999)).toBe(true);
    expect(isDue(schedule, at(next) - 1)).toBe(false);
  });

  test("a day that never comes has no next time", () => {
    const schedule = parseSchedule("0 0 30 2 *");
    expect(schedule === undefined ? 0 : nextDueMs(schedule, 0)).toBeUndefined();
  });
});
