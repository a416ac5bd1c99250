import { expect, test } from "bun:test";
import { runManyTenants } from "./many-tenants.ts";

test("thousands of tenants: every member holds every creation and move, also one that came back by a snapshot", async () => {
  const said: string[] = [];
  const report = await runManyTenants({
    ...{ seed: 1, tenants: 6_000, keepEntries: 20 },
    cadence: { entries: 20, logBytes: 1_000_000, stateShare: 0.5 },
    say: (line) => said.push(line),
  });
  expect(said).toHaveLength(3);
  expect(report.moved).toBe(6);
  expect(report.snapshotsInstalled).toBeGreaterThan(0);
  expect(report.snapshotsTaken).toBeGreaterThan(report.snapshotsInstalled);
}, 120_000);
