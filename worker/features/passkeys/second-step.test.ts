import { describe, expect, test } from "bun:test";
import { Secret, TOTP } from "otpauth";
import { limits } from "../../../shared/limits.ts";
import { passkeyMembers } from "./test-members.ts";
import { TestAuthenticator } from "./testing.ts";

const { world, call, policy, signIn, member, register, enrolled, optionsFor, passkeySignIn } =
  passkeyMembers();

describe("as the second step", () => {
  test("of PocketBase's MFA, in either order", async () => {
    const { device } = await enrolled("nia");
    await world.root.collections.update("members", { mfa: { enabled: true, duration: 600 } });
    try {
      const first = await signIn("nia");
      expect(first).toEqual({ status: 401, json: { mfaId: expect.any(String) } });
      const { mfaId } = first.json as { mfaId: string };
      const { options } = await optionsFor({ mfaId });
      expect(options.allowCredentials).toMatchObject([{ id: Buffer.from(device.id).toString("base64url") }]);
      expect((await passkeySignIn(device, { mfaId })).status).toBe(200);
      expect((await call("POST", "members/auth-with-passkey-options", "", { mfaId })).status).toBe(400);

      const other = await passkeySignIn(device);
      expect(other).toEqual({ status: 401, json: { mfaId: expect.any(String) } });
      const again = await passkeySignIn(device, other.json);
      expect(again.json["message"]).toBe("A different authentication method is required.");
      expect((await signIn("nia", other.json)).status).toBe(200);

      await policy({ passkey: { multiFactor: true } });
      expect((await passkeySignIn(device)).status).toBe(200);
      await policy({ passkey: { multiFactor: true, userVerification: "preferred" } });
      expect((await passkeySignIn(device, {}, { isVerified: false })).status).toBe(401);
    } finally {
      await world.root.collections.update("members", { mfa: { enabled: false } });
    }
  });

  test("is asked of those who have one, when the policy says so", async () => {
    const { device } = await enrolled("oda");
    const stranger = await enrolled("olaf");
    expect((await signIn("oda")).status).toBe(200);
    await policy({ passkey: { secondFactor: true } });
    const { json, status } = await signIn("oda");
    expect([status, Object.keys(json)]).toEqual([401, ["mfaId"]]);
    expect((await passkeySignIn(stranger.device, json)).json["message"]).toBe("Invalid MFA session.");
    expect((await passkeySignIn(device, json)).status).toBe(200);
    await member("otto");
    expect((await signIn("otto")).status).toBe(200);
  });
});

describe("where a second factor is required", () => {
  test("who has none enrols a passkey at sign-in", async () => {
    await member("pia");
    await policy({ required: true });
    const { status, json } = await signIn("pia");
    expect([status, json]).toEqual([401, { mfaId: expect.any(String), enrol: ["passkey"] }]);
    const { mfaId } = json as { mfaId: string };
    expect((await call("POST", "members/passkeys/register-options", "", {})).status).toBe(401);
    const madeUp = await call("POST", "members/passkeys/register-options", "", { mfaId: "made-up" });
    expect(madeUp.status).toBe(400);
    const device = await TestAuthenticator.make();
    const done = await register("", device, { mfaId });
    expect(done).toMatchObject({
      status: 200,
      json: {
        meta: { passkey: { name: "Passkey" } },
        record: { email: "pia@example.com" },
        token: expect.any(String),
      },
    });
    expect((await call("POST", "members/passkeys/register-options", "", { mfaId })).status).toBe(400);
    const again = await signIn("pia");
    expect(again.json).toEqual({ mfaId: expect.any(String) });
    const late = await call("POST", "members/passkeys/register-options", "", again.json);
    expect(late.status).toBe(403);
    expect((await passkeySignIn(device, again.json)).status).toBe(200);
  });

  test("or an app, whose first code ends the sign-in", async () => {
    await member("quin");
    await policy({ required: true, totp: { enabled: true } });
    const { json } = await signIn("quin");
    expect(json["enrol"]).toEqual(["totp", "passkey"]);
    const { mfaId } = json;
    const asked = await call("POST", "members/request-totp", "", { mfaId });
    const secret = Secret.fromBase32(String(asked.json["secret"]));
    const confirm = (code: string) => call("POST", "members/confirm-totp", "", { mfaId, code });
    expect((await confirm("000000")).status).toBe(400);
    const done = await confirm(new TOTP({ secret }).generate());
    expect(done).toMatchObject({ status: 200, json: { record: { email: "quin@example.com" } } });
    expect((done.json["meta"] as { backupCodes: string[] }).backupCodes).toHaveLength(limits.backupCodes);
    expect((await signIn("quin")).json).toEqual({ mfaId: expect.any(String) });
  });

  test("two weak steps are not enough", async () => {
    const { device, id } = await enrolled("rosa");
    await policy({ required: true });
    const { mfaId } = (await signIn("rosa")).json as { mfaId: string };
    const otps = world.root.collection("_otps");
    const otp = await otps.create({
      collectionRef: (await world.root.collections.getOne("members")).id,
      recordRef: id,
      password: "87654321",
    });
    const weak = await call("POST", "members/auth-with-otp", "", {
      otpId: otp.id,
      password: "87654321",
      mfaId,
    });
    expect([weak.status, weak.json]).toEqual([401, { mfaId }]);
    expect((await passkeySignIn(device, { mfaId })).status).toBe(200);
  });
});
