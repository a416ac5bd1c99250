import { afterEach, beforeEach, expect, test } from "bun:test";
import { registeredKey } from "../../shared/objects/layout.ts";
import { type TestControl, startTestControl, startTestWorker } from "../control-fixture.ts";
import { claimRestoreBlock } from "../disaster/claim-restore-block.ts";

let running: TestControl;
beforeEach(async () => {
  running = await startTestControl();
});
afterEach(() => running.remove());

test("a registered worker is marked in the store; once a restore has begun none registers any more", async () => {
  const worker = await startTestWorker(running);
  expect(await running.objects.head(registeredKey(worker.incarnation))).toBeDefined();
  await claimRestoreBlock(running.objects, new AbortController().signal);
  await expect(startTestWorker(running)).rejects.toMatchObject({ code: "control_no_leader" });
  await worker.kill();
});
