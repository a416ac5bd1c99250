import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { caught } from "../objects/contract.fixture.ts";
import { keyringFile, tenantId } from "./encryption-fixture.ts";
import { type FakeKms, startFakeKms } from "./fake-kms.ts";
import { type KeyProvider, openKeyProvider, unwrapOrRefuse } from "./key-provider.ts";
import { addLocalKey } from "./local-keyring.ts";

const A = { tenant: tenantId("a"), version: 1 };
const B = { tenant: tenantId("b"), version: 1 };
const ARN = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555";
const refused = expect.objectContaining({ code: "key_refused" });
const invalid = expect.objectContaining({ code: "invalid_option" });
const dataKey = (): Uint8Array => new Uint8Array(32).fill(9);

const CREDENTIALS = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
const before = CREDENTIALS.map((name) => process.env[name]);

let directory: string;
let kms: FakeKms;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "keys-"));
  kms = startFakeKms([ARN, "other-key"]);
  for (const name of CREDENTIALS) process.env[name] = "test";
});
beforeEach(() => {
  kms.broken = false;
  kms.disabled.clear();
});
afterAll(async () => {
  for (const [i, name] of CREDENTIALS.entries()) {
    if (before[i] === undefined) delete process.env[name];
    else process.env[name] = before[i];
  }
  await kms.stop();
  rmSync(directory, { recursive: true, force: true });
});

const providers: Record<string, () => KeyProvider> = {
  "local keyring": () => openKeyProvider(`local:${keyringFile(directory, ["one"])}`),
  "AWS KMS": () => openKeyProvider(`kms:${ARN}?endpoint=${kms.endpoint}`),
};

for (const [name, open] of Object.entries(providers)) {
  describe(name, () => {
    test("gives back what it has wrapped, for the same tenant and version only", async () => {
      const provider = open();
      const wrapped = await provider.wrap(dataKey(), A);
      expect(wrapped.kek).toBe(await provider.current());
      expect(Buffer.from(wrapped.wrapped).includes(Buffer.from(dataKey()))).toBe(false);
      expect(await provider.unwrap(wrapped, A)).toEqual(dataKey());
      expect(await caught(provider.unwrap(wrapped, B))).toEqual(refused);
      expect(await caught(provider.unwrap(wrapped, { ...A, version: 2 }))).toEqual(refused);
      provider.close();
    });

    test("refuses what was changed, and leaves to others what another key has wrapped", async () => {
      const provider = open();
      const wrapped = await provider.wrap(dataKey(), A);
      const changed = wrapped.wrapped.slice();
      changed[20] = (changed[20] as number) ^ 1;
      expect(await caught(provider.unwrap({ ...wrapped, wrapped: changed }, A))).toEqual(refused);
      expect(await provider.unwrap({ ...wrapped, kek: `${wrapped.kek}x` }, A)).toBeUndefined();
      expect(await caught(unwrapOrRefuse(provider, { ...wrapped, kek: "local:gone" }, A))).toMatchObject({
        code: "key_refused",
        message: expect.stringContaining("local:gone"),
      });
    });
  });
}

describe("local keyring", () => {
  test("a key put first wraps at once, and the older ones still unwrap, without a restart", async () => {
    const file = keyringFile(directory, ["old"], "live");
    const provider = openKeyProvider(`local:${file}`);
    const before = await provider.wrap(dataKey(), A);
    const other = openKeyProvider(`local:${file}`);
    const id = addLocalKey(file, Date.now());
    const after = await provider.wrap(dataKey(), A);
    expect([before.kek, after.kek]).toEqual(["local:old", `local:${id}`]);
    expect(await other.unwrap(after, A)).toEqual(dataKey());
    expect(await provider.unwrap(before, A)).toEqual(dataKey());
    writeFileSync(file, readFileSync(file, "utf8").split("\n")[0] ?? "");
    expect(await openKeyProvider(`local:${file}`).unwrap(before, A)).toBeUndefined();
  });

  test("a new file is its owner's alone", () => {
    const file = join(directory, "made");
    addLocalKey(file, Date.now());
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, "utf8")).toMatch(/^kek-\d{4}-\d\d-\d\d-[0-9a-f]{8}:[A-Za-z0-9_-]{43}\n$/);
  });

  for (const [state, make] of [
    ["is missing", () => join(directory, "absent")],
    [
      "others may read",
      () => (chmodSync(keyringFile(directory, ["x"], "open"), 0o640), join(directory, "open")),
    ],
    ["is empty", () => keyringFile(directory, [], "empty")],
    ["names an id twice", () => keyringFile(directory, ["x", "x"], "twice")],
    [
      "has a long key",
      () => (
        writeFileSync(join(directory, "long"), `a:${"A".repeat(64)}`, { mode: 0o600 }),
        join(directory, "long")
      ),
    ],
  ] as const) {
    test(`a file that ${state} is refused`, () => {
      const file = make();
      expect(() => openKeyProvider(`local:${file}`)).toThrow(invalid as never);
    });
  }
});

describe("AWS KMS", () => {
  test("is tried a bounded number of times, then named", async () => {
    const provider = openKeyProvider(`kms:${ARN}?endpoint=${kms.endpoint}`);
    const wrapped = await provider.wrap(dataKey(), A);
    kms.broken = true;
    kms.calls.length = 0;
    const error = await caught(provider.unwrap(wrapped, A));
    expect(error).toMatchObject({
      code: "key_service_unavailable",
      hint: expect.any(String),
      retryAfterMs: expect.any(Number),
    });
    expect(kms.calls).toEqual(["Decrypt", "Decrypt", "Decrypt"]);
    const nobody = openKeyProvider(`kms:${ARN}?endpoint=http://127.0.0.1:1`);
    expect(await caught(nobody.unwrap(wrapped, A))).toMatchObject({ code: "key_service_unavailable" });
  });

  test("a disabled or unknown key is refused, not tried again", async () => {
    const provider = openKeyProvider(`kms:${ARN}?endpoint=${kms.endpoint}`);
    const wrapped = await provider.wrap(dataKey(), A);
    kms.disabled.add(ARN);
    kms.calls.length = 0;
    expect(await caught(provider.unwrap(wrapped, A))).toEqual(refused);
    expect(kms.calls).toEqual(["Decrypt"]);
    const unknown = openKeyProvider(`kms:unknown?endpoint=${kms.endpoint}`);
    expect(await caught(unknown.wrap(dataKey(), A))).toEqual(refused);
  });

  test("beside a keyring: the first wraps, each unwraps its own", async () => {
    const local = `local:${keyringFile(directory, ["one"], "beside")}`;
    const remote = `kms:${ARN}?endpoint=${kms.endpoint}`;
    const before = await openKeyProvider(local).wrap(dataKey(), A);
    const both = openKeyProvider(`${remote},${local}`);
    expect(await both.current()).toBe(`kms:${ARN}`);
    expect(await both.unwrap(before, A)).toEqual(dataKey());
    expect(await both.unwrap(await both.wrap(dataKey(), A), A)).toEqual(dataKey());
  });
});

for (const spec of ["", "local:", "kms:", "vault:x", "kms:alias/x", `kms:${ARN}?profile=x`, " , "]) {
  test(`--keys ${JSON.stringify(spec)} is refused`, () => {
    expect(() => openKeyProvider(spec)).toThrow(invalid as never);
  });
}
