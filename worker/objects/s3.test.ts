import {
  CreateBucketCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { expect, test } from "bun:test";
import { ensureS3Server } from "../../scripts/s3-server.ts";
import { getBytes } from "../../shared/objects/read.ts";
import { encryptedStore } from "../encryption/encrypted-store.ts";
import { fakeProvider, tenantId } from "../encryption/encryption-fixture.ts";
import { TenantKeys } from "../encryption/tenant-keys.ts";
import { systemClock } from "../replication/clock.ts";
import { caught, digest, pattern, streamed } from "./contract.fixture.ts";
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

  test("s3: creates in parts what one PUT does not take, once, and leaves nothing of what fails", async () => {
    const store = openS3Store(options({ putSingleBytesMax: 5 * 1024 ** 2, partBytes: 5 * 1024 ** 2 }));
    const body = pattern(12 * 1024 ** 2 + 5);
    const short = { ...streamed(body), length: body.length + 1 };
    expect(await caught(store.putIfAbsent("large", short))).toMatchObject({ code: "invalid_body" });
    expect(await store.head("large")).toBeUndefined();
    expect(await store.putIfAbsent("large", streamed(body))).toBe("created");
    expect(await store.putIfAbsent("large", streamed(body.toReversed()))).toBe("exists");
    expect(digest(await getBytes(store, "large"))).toBe(digest(body));
    await store.close();
  });

  test("s3: shred leaves no version of what is below a prefix, and says whether the bucket keeps them", async () => {
    const versioned = `versions-${crypto.randomUUID()}`;
    const admin = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
    await admin.send(new CreateBucketCommand({ Bucket: versioned }));
    const store = openS3Store(options({ bucket: versioned }));
    expect(await store.keepsVersions?.()).toBe(false);
    const VersioningConfiguration = { Status: "Enabled" as const };
    await admin.send(new PutBucketVersioningCommand({ Bucket: versioned, VersioningConfiguration }));
    expect(await store.keepsVersions?.()).toBe(true);
    for (const body of ["one", "two"]) await store.put("keys/1", new TextEncoder().encode(body));
    await store.put("keys/2", new Uint8Array(1));
    await store.put("kept", new Uint8Array(1));
    await store.delete(["keys/2"]);
    const left = async (): Promise<number> => {
      const { Versions = [], DeleteMarkers = [] } = await admin.send(
        new ListObjectVersionsCommand({ Bucket: versioned }),
      );
      return Versions.length + DeleteMarkers.length;
    };
    expect(await left()).toBe(5);
    await store.shred?.("keys/");
    expect(await left()).toBe(1);
    expect(await store.head("kept")).toBeDefined();
    admin.destroy();
    await store.close();
  });

  test("s3: sealed streams go in parts, and come back by ranges and whole", async () => {
    const raw = openS3Store(options());
    const tenant = tenantId("a");
    const keys = new TenantKeys({ store: raw, clock: systemClock, provider: fakeProvider });
    const lease = await keys.open({ tenant, encrypted: true, virgin: true }, AbortSignal.timeout(10_000));
    await lease.create(AbortSignal.timeout(10_000));
    const store = encryptedStore(raw, keys);
    const body = pattern(17 * 1024 ** 2 + 5);
    for (const [key, put] of [
      [`backups/${tenant}/put.zip`, () => store.put(`backups/${tenant}/put.zip`, streamed(body))],
      [`tenants/${tenant}/large/1`, () => store.putIfAbsent(`tenants/${tenant}/large/1`, streamed(body))],
    ] as const) {
      await put();
      expect(digest(await getBytes(store, key))).toBe(digest(body));
      expect(await store.head(key)).toMatchObject({ key, size: body.length });
      const { bytes } = (await store.range(key, { offset: 16 * 1024 ** 2, length: 1000 })) ?? {};
      expect(bytes).toEqual(body.slice(16 * 1024 ** 2, 16 * 1024 ** 2 + 1000));
    }
    expect(await store.putIfAbsent(`tenants/${tenant}/large/1`, body)).toBe("exists");
    await raw.close();
  }, 30_000);

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
