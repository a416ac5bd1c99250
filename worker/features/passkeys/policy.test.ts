import { describe, expect, test } from "bun:test";
import PocketBase from "pocketbase";
import { passkeyMembers } from "./test-members.ts";

const { world, call, policy, member } = passkeyMembers();

describe("the policy", () => {
  test("is off at first: nothing of it shows and nothing of it works", async () => {
    const methods = (collection: string) => call("GET", `${collection}/auth-methods`);
    expect((await methods("others")).json["passkey"]).toBeUndefined();
    expect((await methods("members")).json["passkey"]).toEqual({ enabled: true });
    expect((await call("POST", "others/auth-with-passkey-options")).status).toBe(403);
    expect((await call("POST", "others/auth-with-passkey", "", { challengeId: "x" })).status).toBe(403);
    const { token } = await member("off");
    await policy({ passkey: { enabled: false } });
    expect((await call("POST", "members/passkeys/register-options", token)).status).toBe(403);
  });

  test("is changed by superusers and says what it refuses as PocketBase does", async () => {
    const { token } = await member("meek");
    expect((await call("PATCH", "members/auth-policy", token, {})).status).toBe(403);
    expect((await policy({ passkey: { rpId: "no domain", origins: ["https://a.b/c"] } })).json).toEqual({
      data: {
        passkey: {
          rpId: { code: "validation_invalid_domain", message: "Must be a domain name." },
          origins: {
            code: "validation_invalid_origin",
            message: "Must be origins like https://app.example.com.",
          },
        },
      },
      message: "An error occurred while validating the submitted data.",
      status: 400,
    });
    expect((await policy({ passkey: { userVerification: "maybe" } })).status).toBe(400);
    expect((await policy({ required: "yes" })).status).toBe(400);
    const none = await policy({ required: true, passkey: { enabled: false } });
    expect(none.json["data"]).toMatchObject({ required: { code: "validation_no_second_factor" } });
    const changed = await policy({ passkey: { rpId: "Example.com", origins: ["https://app.example.com"] } });
    expect(changed.json["passkey"]).toMatchObject({ enabled: true, rpId: "example.com" });
  });
});

test("the SDK and the collection's JSON do not notice", async () => {
  const methods = await new PocketBase(world.api.url).collection("members").listAuthMethods();
  expect(methods.password.enabled).toBe(true);
  const { json } = await call("GET", "members", world.root.authStore.token);
  expect(JSON.stringify(json)).not.toContain("passkey");
  const names = (await world.root.collections.getFullList()).map(({ name }) => name);
  expect(names.join()).not.toContain("_mb_");
});
