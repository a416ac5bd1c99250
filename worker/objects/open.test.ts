import { afterAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { caught } from "./contract.fixture.ts";
import { openObjectStore, s3Options } from "./open.ts";

const home = await mkdtemp(join(tmpdir(), "manybase-open-"));
afterAll(() => rm(home, { recursive: true }));

describe("openObjectStore", () => {
  test("opens directories by path and by URL", async () => {
    const path = join(home, "a b");
    for (const location of [`file:${path}`, `file://${encodeURI(path)}`]) {
      const store = await openObjectStore(location, {});
      expect(store.description).toBe(`file:${path}`);
    }
  });

  for (const location of [
    "",
    "data/store",
    "http://bucket",
    "file:",
    "file://host/path",
    "s3://",
    "s3:bucket",
    "s3://bucket?endpont=http://x",
    "s3://bucket?endpoint=x",
    "s3://bucket?force-path-style=yes",
    "s3://key:secret@bucket",
    "s3://bucket/%zz",
  ]) {
    test(`refuses ${JSON.stringify(location)}`, async () => {
      const error = await caught(openObjectStore(location, {}));
      expect(error).toMatchObject({ code: "invalid_option", hint: expect.stringMatching(/./) });
      expect(String(error)).not.toContain("secret");
    });
  }

  test("describes an S3 store without its credentials", async () => {
    const environment = { AWS_ACCESS_KEY_ID: "the-key", AWS_SECRET_ACCESS_KEY: "the-secret" };
    const store = await openObjectStore("s3://bucket/pre/fix?endpoint=http://127.0.0.1:9", environment);
    expect(store.kind).toBe("s3");
    expect(store.description).toBe("s3://bucket/pre/fix/ at http://127.0.0.1:9");
  });
});

test("s3Options reads the location and the environment", () => {
  const location = "s3://bucket/a%20b/c/?endpoint=http://127.0.0.1:9100&region=eu-1&force-path-style=true";
  expect(s3Options(location, { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" })).toEqual({
    bucket: "bucket",
    prefix: "a b/c",
    endpoint: "http://127.0.0.1:9100",
    region: "eu-1",
    forcePathStyle: true,
    credentials: { accessKeyId: "id", secretAccessKey: "secret" },
  });
  expect(s3Options("s3://bucket", { AWS_REGION: "eu-2", AWS_ACCESS_KEY_ID: "id" })).toEqual({
    bucket: "bucket",
    prefix: "",
    region: "eu-2",
    forcePathStyle: false,
  });
});
