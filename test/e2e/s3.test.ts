import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, expect, test, setDefaultTimeout } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import PocketBase from "pocketbase";
import { ensureS3Server } from "../../scripts/s3-server.ts";
import { startAllInOne, temporaryDirectory } from "./all-in-one.ts";
import { eventually, killAll } from "./process.ts";

setDefaultTimeout(60_000);

/** The whole platform over a real S3 server. */
const server = await ensureS3Server();
const data = temporaryDirectory();

afterAll(async () => {
  await killAll();
  rmSync(data, { recursive: true, force: true });
});

if (!("skip" in server)) {
  test("on S3: what was acknowledged is there after kill -9 of the worker, and after its copies are deleted", async () => {
    const { endpoint, region, accessKeyId, secretAccessKey } = server;
    const bucket = `e2e-${crypto.randomUUID()}`;
    const s3 = new S3Client({
      endpoint,
      region,
      credentials: { accessKeyId, secretAccessKey },
      forcePathStyle: true,
    });
    await s3.send(new CreateBucketCommand({ Bucket: bucket }));
    s3.destroy();
    const store = `s3://${bucket}/platform?${new URLSearchParams({ endpoint, region, "force-path-style": "true" })}`;
    const environment = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };

    const platform = await startAllInOne(data, ["--store", store], environment);
    expect((await platform.manybase("tenants", "create", "acme")).errors).toBe("");
    expect(
      (await platform.manybase("tenants", "superuser", "acme", "root@example.com", "root-password-1")).errors,
    ).toBe("");
    const client = new PocketBase(platform.url("acme"));
    await client.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
    await client.collections.create({ name: "notes", type: "base", fields: [{ name: "n", type: "number" }] });
    for (let n = 0; n < 10; n++) await client.collection("notes").create({ n });
    process.kill(platform.pids().worker, "SIGKILL");
    await eventually(() => client.collection("notes").create({ n: 10 }));
    platform.process.kill("SIGINT");
    expect(await platform.process.exited).toBe(0);

    rmSync(join(data, "worker"), { recursive: true });
    const again = await startAllInOne(data, ["--store", store], environment);
    client.baseURL = again.url("acme");
    const notes = await client.collection("notes").getFullList({ sort: "n" });
    expect(notes.map((note) => Number(note["n"]))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    again.process.kill("SIGINT");
    expect(await again.process.exited).toBe(0);
  });
}
