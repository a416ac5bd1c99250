import { limits } from "../../../shared/limits.ts";

/** What a run of a few virtual seconds needs to meet everything that takes minutes and megabytes in production. */
const SMALL = {
  leaseMs: 400,
  beatMs: 100,
  leaseProofMs: 100,
  gateWaitMsMax: 700,
  outageRefuseAfterMs: 250,
  asyncLagMsMax: 300,
  logInlineEntryBytesMax: 12 * 1024,
  logPutAttemptMs: 400,
  logRetryDelayMsMin: 5,
  logRetryDelayMsMax: 80,
  logHedgeMsDefault: 60,
  logHedgeMsMin: 20,
  logHedgeMsMax: 120,
  logLatencySamples: 16,
  logFootersEvery: 6,
  logDirectoryEvery: 24,
  materialiseEntries: 6,
  materialiseAfterMs: 300,
  snapshotChainFilesMax: 3,
  bundleKeepMs: 1_500,
  compactAfterMs: 300,
  compactDailyMs: 900,
  snapshotAgeMsMax: 1_500,
  levelOneKeepMs: 1_200,
  historyKeepMs: 3_000,
  largeKeepMs: 1_500,
  condemnedMsMin: 300,
  condemnedMsMax: 600,
  logTruncateAfterMs: 300,
  logTruncateEveryMs: 50,
  maintenanceRetryMs: 100,
  checkpointPages: 24,
  tenantLoadMsMax: 2_500,
  writeLockWaitMsMax: 800,
  controlReportRetryMs: 60,
  releaseAttemptsMax: 3,
  releaseRetryMsMin: 20,
  releaseRetryMsMax: 100,
  sealRetryMsMin: 20,
  sealRetryMsMax: 200,
} as const satisfies Partial<Record<keyof typeof limits, number>>;

/** Before any module of the product is loaded: some look at their limits only then. */
export function shrinkLimits(): void {
  Object.assign(limits, SMALL);
}
