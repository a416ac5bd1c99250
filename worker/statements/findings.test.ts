import { expect, test } from "bun:test";
import { Findings, type Heavy } from "./findings.ts";

const heavy = (...params: string[]): Heavy => ({ sql: "SELECT ?", params, shape: "objects" });
const rows = { rows: [] };

test("Findings knows a statement again when only the time has passed", () => {
  const findings = new Findings(false);
  findings.keep(heavy("2026-01-02 03:04:05.678Z", "a"), rows);
  expect(findings.find(heavy("2026-01-02 03:04:05.999Z", "a"))).toBe(rows);
  expect(findings.find(heavy("2026-01-02 03:04:05.678Z", "b"))).toBeUndefined();
});

test("Findings knows it again when the time is a pattern", () => {
  const findings = new Findings(false);
  findings.keep(heavy("%2026-01-02 03:04:05.678Z%"), rows);
  expect(findings.find(heavy("%2026-01-02 03:04:06.000Z%"))).toBe(rows);
});
