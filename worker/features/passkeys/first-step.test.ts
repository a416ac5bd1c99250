import { describe, expect, test } from "bun:test";
import { type Options, FAILED, rpId, passkeyMembers } from "./test-members.ts";
import { TestAuthenticator } from "./testing.ts";

const { world, call, policy, member, enrolled, optionsFor, passkeySignIn, signIn } = passkeyMembers();

describe("as the first step", () => {
  test("it signs in, with or without an identity", async () => {
    const { device, passkey, token } = await enrolled("emil");
    const done = await passkeySignIn(device);
    expect(done).toMatchObject({
      status: 200,
      json: { record: { email: "emil@example.com", collectionName: "members" }, token: expect.any(String) },
    });
    expect((await passkeySignIn(device, { identity: "EMIL@example.com" })).status).toBe(200);
    expect(await passkeySignIn(device, { identity: "other@example.com" })).toEqual(FAILED);
    const { json } = await call("GET", "members/passkeys", token);
    expect((json as unknown as Record<string, unknown>[])[0]).toMatchObject({
      id: passkey,
      used: expect.stringContaining("Z"),
    });
  });

  test("options are the same for those who exist and those who do not", async () => {
    await enrolled("fay");
    const shape = async (identity: string) => {
      const { options, challengeId } = await optionsFor({ identity });
      return [{ ...options, challenge: options.challenge.length }, challengeId.split(".").length];
    };
    expect(await shape("fay@example.com")).toEqual(await shape("nil@example.com"));
    expect((await optionsFor({ identity: "fay@example.com" })).options.allowCredentials).toBeUndefined();
  });

  test("a challenge is good once, also for authenticators that count nothing", async () => {
    const { device } = await enrolled("gus");
    device.step = 0;
    const { options, challengeId } = await optionsFor();
    const response = await device.get(options, { origin: world.origin, rpId });
    const send = () => call("POST", "members/auth-with-passkey", "", { challengeId, response });
    expect((await send()).status).toBe(200);
    expect((await send()).json["message"]).toBe("Invalid or expired passkey challenge.");
    const others = await call("POST", "others/auth-with-passkey", "", { challengeId, response });
    expect(others.status).toBe(403);
    const racing = await optionsFor();
    const raced = await device.get(racing.options, { origin: world.origin, rpId });
    const both = await Promise.all(
      [1, 2].map(() =>
        call("POST", "members/auth-with-passkey", "", { challengeId: racing.challengeId, response: raced }),
      ),
    );
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400]);
  });

  test("other pages, domains, challenges, signatures and unverified users are refused", async () => {
    const { device } = await enrolled("hal");
    expect(await passkeySignIn(device, {}, { origin: "https://evil.example" })).toEqual(FAILED);
    expect(await passkeySignIn(device, {}, { rpId: "evil.example" })).toEqual(FAILED);
    expect(await passkeySignIn(device, {}, { isVerified: false })).toEqual(FAILED);
    const { challengeId } = await optionsFor();
    const mixed = await device.get((await optionsFor()).options, { origin: world.origin, rpId });
    const wrong = await call("POST", "members/auth-with-passkey", "", { challengeId, response: mixed });
    expect(wrong).toEqual(FAILED);
    const { options, challengeId: other } = await optionsFor();
    const forged = await device.get(options, { origin: world.origin, rpId });
    forged.response.signature = forged.response.signature.slice(0, -4) + "AAAA";
    expect(
      (await call("POST", "members/auth-with-passkey", "", { challengeId: other, response: forged })).status,
    ).toBe(400);
    for (const response of [undefined, null, "x", { id: {} }, { id: forged.id }]) {
      expect(await call("POST", "members/auth-with-passkey", "", { challengeId: other, response })).toEqual(
        FAILED,
      );
    }
    expect((await passkeySignIn(device)).status).toBe(200);
  });

  test("a counter that goes back ends the passkey, for both of its holders", async () => {
    const { device, token } = await enrolled("ivy");
    expect((await passkeySignIn(device)).status).toBe(200);
    device.counter -= 1;
    expect(await passkeySignIn(device)).toEqual(FAILED);
    device.counter += 5;
    expect(await passkeySignIn(device)).toEqual(FAILED);
    const { json } = await call("GET", "members/passkeys", token);
    expect(json as unknown).toMatchObject([{ cloned: true }]);
    await policy({ required: true });
    expect((await signIn("ivy")).json["enrol"]).toEqual(["passkey"]);
  });

  test("it goes with its record, and when somebody proves the address", async () => {
    const gone = await enrolled("jan");
    await world.root.collection("members").delete(gone.id);
    expect(await passkeySignIn(gone.device)).toEqual(FAILED);
    const early = await enrolled("kai");
    await world.root.collection("members").update(early.id, { verified: true });
    expect(await passkeySignIn(early.device)).toEqual(FAILED);
    const late = await enrolled("leo", { verified: true });
    await world.root.collection("members").update(late.id, { name: "Leo" });
    expect((await passkeySignIn(late.device)).status).toBe(200);
  });

  test("a domain and pages of the policy count instead of the host", async () => {
    await policy({ passkey: { rpId: "example.com", origins: ["https://app.example.com"] } });
    const { token } = await member("mia");
    const device = await TestAuthenticator.make();
    const at = { origin: "https://app.example.com", rpId: "example.com" };
    const { json } = await call("POST", "members/passkeys/register-options", token);
    const response = await device.create(json["options"] as Options, at);
    const body = { challengeId: json["challengeId"], response };
    expect((await call("POST", "members/passkeys", token, body)).status).toBe(200);
    expect((await passkeySignIn(device, {}, at)).status).toBe(200);
    await policy({ passkey: { rpId: "" } });
    expect(await passkeySignIn(device, {}, at)).toEqual(FAILED);
  });
});
