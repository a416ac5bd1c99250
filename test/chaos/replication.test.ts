import { afterAll, expect, test } from "bun:test";
import { killAll } from "../e2e/process.ts";
import { killCampaign, openS3, outageCampaign } from "./replication.ts";

/** A short form of `npm run test:chaos`. */
const KILLS_FILE = 3;
const KILLS_S3 = 2;
const s3 = await openS3();

afterAll(async () => {
  s3?.server.close();
  await killAll();
});

test("file store: kill -9 and SIGSTOP under load lose nothing that was acknowledged", async () => {
  const report = await killCampaign({}, KILLS_FILE);
  console.log(report);
  expect(report.violations).toEqual([]);
  expect(report.acknowledged).toBeGreaterThan(KILLS_FILE * 10);
}, 300_000);

if (s3 !== undefined) {
  test("S3: kill -9 and SIGSTOP under load lose nothing that was acknowledged", async () => {
    const report = await killCampaign(s3.place(), KILLS_S3, 2);
    console.log(report);
    expect(report.violations).toEqual([]);
    expect(report.acknowledged).toBeGreaterThan(KILLS_S3 * 10);
  }, 300_000);

  test("S3: a store that is stopped and started: durable tenants refuse and recover, and lose nothing", async () => {
    const report = await outageCampaign(s3, 1);
    console.log(report);
    expect(report.violations).toEqual([]);
    // What was under way may still end; nothing new is acknowledged.
    expect(report.acknowledgedMeanwhile).toBeLessThan(20);
    expect(report.refusedMeanwhile).toBeGreaterThan(0);
  }, 120_000);
}
