import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openObjectStore } from "../../../control/objects.ts";
import { getBytes, listAll } from "../../../shared/objects/read.ts";
import { parallel } from "../../../worker/replication/parallel.ts";
import { ensureS3Server } from "../../s3-server.ts";
import { writeHistory } from "./loss-fixture.ts";
import { restoreControl } from "./restore.ts";
import { intoDirectory } from "./restore-target.ts";

const server = await ensureS3Server();

if (!("skip" in server)) {
  test("on S3: a whole copy of a bucket, and one with holes", async () => {
    const { endpoint, region, accessKeyId, secretAccessKey } = server;
    const bucket = `restore-${crypto.randomUUID()}`;
    const credentials = { accessKeyId, secretAccessKey };
    const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    client.destroy();
    const url = `s3://${bucket}/copy?${new URLSearchParams({ endpoint, region, "force-path-style": "true" })}`;
    const store = await openObjectStore(url, {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    });
    const history = await writeHistory();
    const data = mkdtempSync(join(tmpdir(), "restore-s3-"));
    try {
      const from = history.world.store;
      const keys = (await Array.fromAsync(listAll(from, { prefix: "" }))).map(({ key }) => key);
      await parallel(keys, 8, async (key) => {
        await store.put(key, (await getBytes(from, key)) ?? new Uint8Array());
      });
      const { signal } = new AbortController();
      const options = { store, signal, nowMs: Date.now(), acceptLoss: true };
      const whole = await restoreControl({ ...options, target: intoDirectory(join(data, "whole"), "1") });
      expect(whole).toMatchObject({ tenants: history.notes.size, orphans: [] });
      expect(whole.loss).toBeUndefined();
      // A change of the tenant of which the last worker brought nothing under its prefix.
      const gone = keys.filter((key) => /000000000003\/log\/0{15}a\.wlog$/.test(key));
      expect(gone).toHaveLength(1);
      await store.delete(gone);
      const { loss } = await restoreControl({ ...options, target: intoDirectory(join(data, "holes"), "1") });
      const [id] = [...history.notes.keys()].slice(-1);
      expect(loss?.logs).toMatchObject([{ incarnation: 3, missing: [[10, 10]] }]);
      expect(loss?.tenants).toMatchObject([
        { tenant: id, state: "cut", databases: [{ keptTxid: 25, lost: { from: 26, missing: [[26, 26]] } }] },
      ]);
      const again = await restoreControl({
        ...options,
        acceptLoss: false,
        target: intoDirectory(join(data, "again"), "1"),
      });
      expect(again.loss).toBeUndefined();
    } finally {
      await store.close();
      history.close();
      rmSync(data, { recursive: true, force: true });
    }
  }, 120_000);
}
