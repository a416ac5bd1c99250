import { afterAll, beforeAll, describe, expect, setDefaultTimeout, setSystemTime, test } from "bun:test";
import { Secret, TOTP } from "otpauth";
import PocketBase from "pocketbase";
import { limits } from "../../../shared/limits.ts";
import { SUPERUSER, type TestApi, slowPost, startTestApi } from "../../app-testing.ts";

setDefaultTimeout(60_000);

let api: TestApi;
let root: PocketBase;
const password = "12345678";

beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "members",
    type: "auth",
    otp: { enabled: true, duration: 180, length: 8 },
  });
});
afterAll(async () => {
  setSystemTime();
  await api.close();
});

interface Answer {
  status: number;
  json: Record<string, unknown>;
}

async function call(method: string, path: string, token = "", body?: unknown): Promise<Answer> {
  const response = await fetch(`${api.url}/api/collections/members/${path}`, {
    method,
    headers: { "content-type": "application/json", ...(token === "" ? {} : { authorization: token }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, json: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

const asRoot = (method: string, path: string, body?: unknown): Promise<Answer> =>
  call(method, path, root.authStore.token, body);

const signIn = (name: string): Promise<Answer> =>
  call("POST", "auth-with-password", "", { identity: `${name}@example.com`, password });

async function member(name: string): Promise<{ id: string; token: string }> {
  const values = { email: `${name}@example.com`, password, passwordConfirm: password };
  const { id } = await root.collection("members").create(values);
  return { id, token: String((await signIn(name)).json["token"]) };
}

/** Each code is good once: the clock goes on a step with every one. */
let nowMs = Date.now();
function nextCode(secret: string): string {
  nowMs += 30_000;
  setSystemTime(new Date(nowMs));
  return new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: nowMs });
}

async function enrolled(name: string) {
  const { id, token } = await member(name);
  const secret = String((await call("POST", "request-totp", token)).json["secret"]);
  const confirmed = await call("POST", "confirm-totp", token, { code: nextCode(secret) });
  expect(confirmed.status).toBe(200);
  return { id, token, secret, backupCodes: confirmed.json["backupCodes"] as string[] };
}

const mfaIdOf = async (name: string): Promise<string> => {
  const first = await signIn(name);
  expect(first).toEqual({ status: 401, json: { mfaId: expect.any(String) } });
  return String(first.json["mfaId"]);
};
const second = (mfaId: string, code: string): Promise<Answer> =>
  call("POST", "auth-with-totp", "", { mfaId, code });

describe("while the policy is off", () => {
  test("nothing of it shows and nothing of it works", async () => {
    const { token } = await member("off");
    expect((await call("GET", "auth-methods")).json["totp"]).toBeUndefined();
    expect(await call("GET", "totp", token)).toMatchObject({ status: 200, json: { enabled: false } });
    expect((await call("POST", "request-totp", token)).status).toBe(403);
    expect((await second("x", "123456")).status).toBe(403);
    expect((await root.collections.getFullList()).map(({ name }) => name).join()).not.toContain("_mb_");
  });

  test("only superusers see and change it", async () => {
    const { token } = await member("meek");
    expect((await call("PATCH", "auth-policy", token, { totp: { enabled: true } })).status).toBe(403);
    expect((await call("GET", "auth-policy")).status).toBe(401);
    expect((await asRoot("PATCH", "auth-policy", { totp: { enabled: "yes" } })).status).toBe(400);
    expect((await asRoot("PATCH", "auth-policy", { totp: { issuer: "x".repeat(101) } })).status).toBe(400);
    expect((await asRoot("GET", "auth-policy")).json).toEqual({
      required: false,
      totp: { enabled: false, issuer: "" },
      passkey: {
        enabled: false,
        secondFactor: false,
        multiFactor: false,
        rpId: "",
        origins: [],
        userVerification: "required",
      },
    });
  });
});

describe("when it is on", () => {
  beforeAll(async () => {
    const changed = await asRoot("PATCH", "auth-policy", { totp: { enabled: true, issuer: "Ho:use" } });
    expect(changed.json).toMatchObject({ totp: { enabled: true, issuer: "Ho:use" } });
  });

  test("a record enrols by a QR code and a first code, and signs in by two steps from then on", async () => {
    const { token } = await member("ann");
    expect((await call("GET", "auth-methods")).json["totp"]).toEqual({ enabled: true, duration: 600 });
    const { json } = await call("POST", "request-totp", token);
    const uri = new URL(String(json["uri"]));
    expect([uri.protocol, uri.searchParams.get("secret"), uri.searchParams.get("issuer")]).toEqual([
      "otpauth:",
      String(json["secret"]),
      "Ho use",
    ]);
    expect(String(json["qr"])).toStartWith("<svg");
    expect((await signIn("ann")).status).toBe(200);
    expect((await call("POST", "confirm-totp", token, { code: "000000" })).json).toMatchObject({
      data: { code: { code: "validation_invalid_code" } },
    });
    const secret = String(json["secret"]);
    const confirmed = await call("POST", "confirm-totp", token, { code: nextCode(secret) });
    expect(confirmed.json["backupCodes"]).toHaveLength(limits.backupCodes);
    const mfaId = await mfaIdOf("ann");
    const code = nextCode(secret);
    const done = await second(mfaId, code);
    expect(done).toMatchObject({ status: 200, json: { record: { email: "ann@example.com" } } });
    expect((await call("GET", "totp", String(done.json["token"]))).json).toEqual({
      enabled: true,
      backupCodes: limits.backupCodes,
    });
    expect((await second(mfaId, nextCode(secret))).json["message"]).toBe("Invalid or expired MFA session.");
    expect((await second(await mfaIdOf("ann"), code)).status).toBe(400);
  });

  test("whoever is signed out while the request comes cannot enrol any more", async () => {
    const { id, token } = await member("late");
    const secret = String((await call("POST", "request-totp", token)).json["secret"]);
    const path = "/api/collections/members/";
    const asking = slowPost(api, `${path}request-totp`, token, {});
    const confirming = slowPost(api, `${path}confirm-totp`, token, { code: nextCode(secret) });
    await root.collection("members").update(id, { password: "87654321", passwordConfirm: "87654321" });
    for (const { arrive, answered } of [confirming, asking]) {
      arrive();
      expect((await answered).status).toBe(401);
    }
    const again = { identity: "late@example.com", password: "87654321" };
    expect((await call("POST", "auth-with-password", "", again)).status).toBe(200);
  });

  test("an app that is in use is neither replaced nor confirmed again", async () => {
    const { token, secret, backupCodes } = await enrolled("kept");
    const code = nextCode(secret);
    for (const [path, body] of [
      ["request-totp", {}],
      ["confirm-totp", { code }],
    ] as const) {
      const answer = await call("POST", path, token, body);
      expect([answer.status, answer.json["message"]]).toEqual([400, "TOTP is already enabled."]);
    }
    expect((await second(await mfaIdOf("kept"), backupCodes[0] ?? "")).status).toBe(200);
  });

  test("a made-up session is no second step", async () => {
    const { secret } = await enrolled("bob");
    for (const path of ["auth-with-password?fields=token", "auth-with-password?mfaId=made-up&expand=x"]) {
      const answer = await call("POST", path, "", {
        identity: "bob@example.com",
        password,
        mfaId: "made-up",
      });
      expect([answer.status, answer.json["token"]]).toEqual([400, undefined]);
    }
    const other = await enrolled("boris");
    expect((await second(await mfaIdOf("bob"), nextCode(other.secret))).status).toBe(400);
    expect((await second(await mfaIdOf("bob"), nextCode(secret))).status).toBe(200);
  });

  test("a backup code signs in once; new ones end the old ones", async () => {
    const { token, secret, backupCodes } = await enrolled("cleo");
    const [one = "", two = ""] = backupCodes;
    expect(one).toMatch(/^[a-z2-9]{5}-[a-z2-9]{5}$/);
    expect((await second(await mfaIdOf("cleo"), one.toUpperCase().replace("-", " "))).status).toBe(200);
    expect((await second(await mfaIdOf("cleo"), one)).status).toBe(400);
    const renewed = await call("POST", "renew-backup-codes", token, { code: nextCode(secret) });
    expect(renewed.json["backupCodes"]).toHaveLength(limits.backupCodes);
    expect((await second(await mfaIdOf("cleo"), two)).status).toBe(400);
  });

  test("guessing ends after a few tries", async () => {
    const { secret } = await enrolled("dora");
    const mfaId = await mfaIdOf("dora");
    const statuses: number[] = [];
    for (let index = 0; index < limits.totpTriesMax; index++)
      statuses.push((await second(mfaId, "000000")).status);
    expect(statuses.at(-1)).toBe(429);
    expect((await second(mfaId, nextCode(secret))).status).toBe(429);
  });

  test("it is removed by a code, by a superuser, and with its record", async () => {
    const { id, token, secret } = await enrolled("emil");
    expect((await call("POST", "remove-totp", token, { code: "000000" })).status).toBe(400);
    expect((await call("POST", "remove-totp", token, { code: nextCode(secret) })).status).toBe(204);
    expect((await signIn("emil")).status).toBe(200);
    const lost = await enrolled("lost");
    expect((await call("DELETE", `totp/${lost.id}`, token)).status).toBe(403);
    expect((await asRoot("DELETE", `totp/${lost.id}`)).status).toBe(204);
    expect((await asRoot("DELETE", `totp/${lost.id}`)).status).toBe(404);
    expect((await signIn("lost")).status).toBe(200);
    const gone = await enrolled("gone");
    await root.collection("members").delete(gone.id);
    expect(rowsOf(gone.id)).toBe(0);
    expect(rowsOf(id)).toBe(0);
  });

  test("it counts as the second step where the collection asks for one anyway", async () => {
    const { secret } = await enrolled("finn");
    await root.collections.update("members", { mfa: { enabled: true, duration: 600 } });
    try {
      expect((await second(await mfaIdOf("finn"), nextCode(secret))).status).toBe(200);
    } finally {
      await root.collections.update("members", { mfa: { enabled: false } });
    }
  });

  test("a session that has expired is refused", async () => {
    const { secret } = await enrolled("gil");
    const mfaId = await mfaIdOf("gil");
    nowMs += 601_000;
    expect((await second(mfaId, nextCode(secret))).json["message"]).toBe("Invalid or expired MFA session.");
  });

  test("turning it off lets everybody in by one step, without forgetting the apps", async () => {
    await enrolled("hope");
    await asRoot("PATCH", "auth-policy", { totp: { enabled: false } });
    expect((await signIn("hope")).status).toBe(200);
    await asRoot("PATCH", "auth-policy", { totp: { enabled: true } });
    expect((await signIn("hope")).status).toBe(401);
  });
});

function rowsOf(recordRef: string): number {
  const rows = api.tenant.data.read(api.tenant.observe(), (db) =>
    db.values(
      "SELECT recordRef FROM _mb_totps WHERE recordRef = ?1 UNION ALL SELECT recordRef FROM _mb_backupCodes WHERE recordRef = ?1",
      [recordRef],
    ),
  );
  return rows.length;
}
