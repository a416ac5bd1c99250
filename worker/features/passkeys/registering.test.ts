import { describe, expect, setSystemTime, test } from "bun:test";
import { limits } from "../../../shared/limits.ts";
import { slowPost } from "../../app-testing.ts";
import { type Options, FAILED, rpId, OFF, passkeyMembers } from "./test-members.ts";
import { TestAuthenticator } from "./testing.ts";
import { verifyRegistration } from "./verify.ts";

const { world, call, member, register, enrolled, optionsFor, passkeySignIn } = passkeyMembers();

describe("registering", () => {
  test("a record lists, renames and deletes its passkeys; nobody else can", async () => {
    const { id, token, device, passkey } = await enrolled("ann");
    const { token: other } = await member("anna");
    const list = await fetch(`${world.api.url}/api/collections/members/passkeys`, {
      headers: { authorization: token },
    });
    expect(await list.json()).toEqual([
      {
        id: passkey,
        name: "Passkey",
        created: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z$/),
        used: "",
        rpId,
        transports: ["internal"],
        deviceType: "singleDevice",
        backedUp: false,
        cloned: false,
      },
    ]);
    const again = await call("POST", "members/passkeys/register-options", token);
    expect((again.json["options"] as Options).excludeCredentials).toHaveLength(1);
    expect((await register(token, device)).json["message"]).toBe("The passkey is registered already.");
    const path = `members/passkeys/${passkey}`;
    expect((await call("PATCH", path, other, { name: "x" })).status).toBe(404);
    expect((await call("DELETE", path, other)).status).toBe(404);
    expect((await call("GET", `members/passkeys?record=${id}`, other)).json).toEqual([] as never);
    expect(
      (await call("GET", `members/passkeys?record=${id}`, world.root.authStore.token)).json,
    ).toHaveLength(1);
    expect((await call("PATCH", path, token, { name: "Phone" })).json["name"]).toBe("Phone");
    expect((await call("PATCH", path, token, { name: "x".repeat(101) })).status).toBe(400);
    expect((await call("DELETE", path, world.root.authStore.token)).status).toBe(204);
    expect((await call("DELETE", path, token)).status).toBe(404);
    expect(await passkeySignIn(device)).toEqual(FAILED);
  });

  test("a challenge is of one record, one use, one kind and a few minutes; a new password ends it", async () => {
    const { id, token } = await member("bob");
    const { token: other } = await member("bobby");
    const device = await TestAuthenticator.make();
    const challengeFor = async (token: string) =>
      (await call("POST", "members/passkeys/register-options", token)).json as {
        options: Options;
        challengeId: string;
      };
    const finish = async (
      token: string,
      { options, challengeId }: { options: Options; challengeId: string },
      device: TestAuthenticator,
    ) =>
      call("POST", "members/passkeys", token, {
        challengeId,
        response: await device.create(options, { origin: world.origin, rpId }),
      });
    const INVALID = "Invalid or expired passkey challenge.";
    const first = await challengeFor(token);
    expect((await finish(other, first, device)).json["message"]).toBe(INVALID);
    expect(
      (await finish(token, { ...first, challengeId: (await optionsFor()).challengeId }, device)).status,
    ).toBe(400);
    expect((await finish(token, first, device)).status).toBe(200);
    const twice = await finish(token, first, await TestAuthenticator.make());
    expect(twice.json["message"]).toBe(INVALID);
    const old = await challengeFor(token);
    setSystemTime(new Date(Date.now() + limits.passkeyChallengeMs + 1_000));
    expect((await finish(token, old, await TestAuthenticator.make())).json["message"]).toBe(INVALID);
    setSystemTime();
    const pending = await challengeFor(token);
    await world.root
      .collection("members")
      .update(id, { password: "new-password", passwordConfirm: "new-password" });
    const changed = await call("POST", "members/auth-with-password", "", {
      identity: "bob@example.com",
      password: "new-password",
    });
    const late = await finish(String(changed.json["token"]), pending, await TestAuthenticator.make());
    expect(late.json["message"]).toBe(INVALID);
    expect((await passkeySignIn(device)).status).toBe(200);
  });

  test("whoever is signed out while the request comes cannot register any more", async () => {
    const { id, token } = await member("late");
    const { json } = await call("POST", "members/passkeys/register-options", token);
    const device = await TestAuthenticator.make();
    const response = await device.create(json["options"] as Options, { origin: world.origin, rpId });
    const body = { challengeId: json["challengeId"], response };
    const { arrive, answered } = slowPost(world.api, "/api/collections/members/passkeys", token, body);
    const password = { password: "new-password", passwordConfirm: "new-password" };
    await world.root.collection("members").update(id, password);
    arrive();
    expect((await answered).status).toBe(400);
    expect(await passkeySignIn(device)).toEqual(FAILED);
  });

  test("only its own page, its own domain and a verified user", async () => {
    const { token } = await member("carl");
    const wrongs = [
      { origin: "https://evil.example", rpId },
      { origin: world.origin, rpId: "evil.example" },
      { origin: world.origin, rpId, isVerified: false },
    ];
    for (const at of wrongs) {
      const { json } = await call("POST", "members/passkeys/register-options", token);
      const device = await TestAuthenticator.make();
      const response = await device.create(json["options"] as Options, at);
      const body = { challengeId: json["challengeId"], response };
      expect((await call("POST", "members/passkeys", token, body)).json["message"]).toBe(
        "Failed to verify the passkey.",
      );
    }
    for (const response of [
      undefined,
      null,
      7,
      {},
      { id: "x", rawId: "x", type: "public-key", response: 3 },
    ]) {
      const { json } = await call("POST", "members/passkeys/register-options", token);
      const body = { challengeId: json["challengeId"], response };
      expect((await call("POST", "members/passkeys", token, body)).status).toBe(400);
    }
  });

  test("certificates are not even looked at", async () => {
    const device = await TestAuthenticator.make();
    const challenge = { challenge: "AAAA", rpId, identity: "", expiresMs: 0 };
    const statement = new Map<string, unknown>([["x5c", [Uint8Array.of(1, 2, 3)]]]);
    const party = { ...OFF.passkey, userVerification: "required" as const, allowedOrigins: [world.origin] };
    for (const format of ["packed", "apple", "none"]) {
      const extra = new Map<string, unknown>([
        ["fmt", format],
        ["attStmt", format === "none" ? new Map() : statement],
      ]);
      const options = { challenge: "AAAA", user: { id: "AAAA" } };
      const response = await device.create(options, { origin: world.origin, rpId }, extra);
      const outcome = await verifyRegistration(party, challenge, response).then(
        () => "verified",
        (error: { cause: Error }) => error.cause.message,
      );
      expect(outcome).toBe(format === "none" ? "verified" : `attestation ${format} with certificates`);
    }
  });

  test("there is a bound", async () => {
    const { token } = await member("dan");
    for (let index = 0; index < limits.passkeysPerRecordMax; index++) {
      expect((await register(token, await TestAuthenticator.make())).status).toBe(200);
    }
    expect((await register(token, await TestAuthenticator.make())).json["message"]).toStartWith(
      "There are too many passkeys.",
    );
  });
});
