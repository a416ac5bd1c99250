import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { expect, test } from "bun:test";
import { ensureS3Server } from "../../scripts/s3-server.ts";
import { caught, pattern, streamed } from "./contract.fixture.ts";
import { objectStoreContract } from "./contract.suite.ts";
import type { S3Options } from "./s3/client.ts";
import { openS3Store } from "./s3/s3-store.ts";

const server = await ensureS3Server();

if (!("skip" in server)) {
  const { endpoint, region, ...credentials } = server;
  const bucket = `contract-${crypto.randomUUID()}`;
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  let stores = 0;
  const options = (changes: Partial<S3Options> = {}): S3Options => ({
    bucket,
    endpoint,
    region,
    credentials,
    forcePathStyle: true,
    prefix: `store ${stores++}/é`,
    ...changes,
  });

  objectStoreContract("s3", async () => openS3Store(options()));

  test("s3: copies above the single-copy limit in parts", async () => {
    const store = openS3Store(options({ copySingleBytesMax: 5 * 1024 ** 2, copyPartBytes: 5 * 1024 ** 2 }));
    const body = pattern(12 * 1024 ** 2 + 5);
    await store.put("large", streamed(body));
    await store.copy("large", "copied", { storageClass: "STANDARD_IA" });
    expect(await store.head("copied")).toMatchObject({ size: body.length, storageClass: "STANDARD_IA" });
    const { bytes } = (await store.range("copied", { offset: 10 * 1024 ** 2 - 8, length: 16 })) ?? {};
    expect(bytes).toEqual(body.slice(10 * 1024 ** 2 - 8, 10 * 1024 ** 2 + 8));
    await store.close();
  });

  test("s3: a missing bucket is store_missing, for reads and writes", async () => {
    const store = openS3Store(options({ bucket: `${bucket}-not` }));
    const missing = expect.objectContaining({ code: "store_missing" });
    expect(await caught(store.putIfAbsent("a", new Uint8Array(1)))).toEqual(missing);
    expect(await caught(store.put("a", new Uint8Array(1)))).toEqual(missing);
    expect(await caught(store.get("a"))).toEqual(missing);
    expect(await caught(store.list({ prefix: "" }))).toEqual(missing);
    await store.close();
  });

  test("s3: wrong keys are store_unavailable, never unknown", async () => {
    const store = openS3Store(options({ credentials: { ...credentials, secretAccessKey: "wrong" } }));
    const refused = expect.objectContaining({ code: "store_unavailable" });
    expect(await caught(store.putIfAbsent("a", new Uint8Array(1)))).toEqual(refused);
    expect(await caught(store.list({ prefix: "" }))).toEqual(refused);
    await store.close();
  });

  test("s3: other prefixes of the bucket are not seen", async () => {
    const one = openS3Store(options({ prefix: "one" }));
    const other = openS3Store(options({ prefix: "one-more" }));
    await one.put("x", new Uint8Array(1));
    await other.put("y", new Uint8Array(1));
    expect((await one.list({ prefix: "" })).objects.map(({ key }) => key)).toEqual(["x"]);
    await one.close();
    await other.close();
  });
}
