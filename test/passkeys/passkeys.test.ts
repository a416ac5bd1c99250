import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import type { Browser, BrowserContext, Page } from "playwright-core";
import PocketBase from "pocketbase";
import { ensureChromium } from "../../scripts/chromium.ts";
import { type AllInOne, startAllInOne, temporaryDirectory } from "../e2e/all-in-one.ts";
import { eventually, killAll } from "../e2e/process.ts";
import { addAuthenticator, openBrowser, pageScript, startSite } from "./browser.ts";

setDefaultTimeout(60_000);

/** Passkeys in a real Chromium with its virtual authenticator, against a tenant behind the gateway. */
const program = ensureChromium();
const password = "12345678";
const data = temporaryDirectory();
let platform: AllInOne;
let root: PocketBase;
let browser: Browser;
let script: string;
let site: ReturnType<typeof startSite>;

describe.skipIf(program === undefined)("passkeys in Chromium", () => {
  beforeAll(async () => {
    platform = await startAllInOne(data);
    expect((await platform.manybase("tenants", "create", "acme")).status).toBe(0);
    await platform.manybase("tenants", "superuser", "acme", "root@example.com", "root-password-1");
    root = new PocketBase(platform.url("acme"));
    root.autoCancellation(false);
    await root.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
    await policy({ passkey: { enabled: true } });
    script = await pageScript();
    site = startSite(script);
    browser = await openBrowser(program ?? "");
  });
  afterAll(async () => {
    await browser?.close();
    site?.stop();
    await killAll();
    rmSync(data, { recursive: true, force: true });
  });

  const policy = (body: object): Promise<unknown> =>
    root.send("/api/collections/users/auth-policy", { method: "PATCH", body });

  /** A page on the tenant's own host, a new user, and a device with a passkey of theirs. */
  async function enrolled(name: string) {
    const email = `${name}@example.com`;
    await root.collection("users").create({ email, password, passwordConfirm: password });
    const context = await browser.newContext();
    const page = await context.newPage();
    const device = await addAuthenticator(context, page);
    await open(page, `${platform.url("acme")}/api/health`);
    const made = await page.evaluate(
      async ({ email, password }) => {
        const client = new window.page.PocketBase(location.origin);
        await client.collection("users").authWithPassword(email, password);
        return window.page.register(client, "users", { name: "Laptop" });
      },
      { email, password },
    );
    expect(made).toMatchObject({ name: "Laptop", rpId: "acme.localhost", transports: ["internal"] });
    return { email, context, page, device };
  }

  async function open(page: Page, url: string): Promise<void> {
    await page.goto(url);
    await page.addScriptTag({ content: script });
  }

  /** Signs in without saying who: the answer, or what was refused. */
  const signIn = (page: Page, extra: object = {}) =>
    page.evaluate(
      async ({ base, extra }) => {
        const client = new window.page.PocketBase(base);
        const { assertion, send, refusal } = window.page;
        const given = await assertion(client, "users", extra);
        let email = "";
        const outcome = await refusal(
          send(client, "users", given).then(async ({ record }) => {
            email = String(record["email"]);
            // The token is one like any other.
            await client.collection("users").authRefresh();
          }),
        );
        return { email, given, ...outcome };
      },
      { base: platform.url("acme"), extra },
    );

  const REFUSED = { email: "", status: 400, response: { message: "Failed to authenticate." } };
  const close = (context: BrowserContext): Promise<void> => context.close();

  test("a passkey is registered, and signs in by itself or by who is asked for", async () => {
    const { email, context, page, device } = await enrolled("ann");
    const [credential] = await device.credentials();
    expect(credential).toMatchObject({ rpId: "acme.localhost", isResidentCredential: true, userName: email });
    expect(await signIn(page)).toMatchObject({ status: 200, email });
    expect(await signIn(page, { identity: email })).toMatchObject({ status: 200, email });
    expect(await signIn(page, { identity: "other@example.com" })).toMatchObject(REFUSED);
    await close(context);
  });

  test("it is the second step after a password", async () => {
    const { email, context, page } = await enrolled("bob");
    await policy({ passkey: { secondFactor: true } });
    try {
      const first = await page.evaluate(
        ({ email, password }) => {
          const client = new window.page.PocketBase(location.origin);
          return window.page.refusal(client.collection("users").authWithPassword(email, password));
        },
        { email, password },
      );
      expect(first).toEqual({ status: 401, response: { mfaId: expect.any(String) } });
      expect(await signIn(page, first.response)).toMatchObject({ status: 200, email });
    } finally {
      await policy({ passkey: { secondFactor: false } });
    }
    await close(context);
  });

  test("who must have a second factor and has none enrols it while signing in", async () => {
    const { context, page } = await enrolled("carl");
    const email = "dora@example.com";
    await root.collection("users").create({ email, password, passwordConfirm: password });
    await policy({ required: true });
    try {
      const signedIn = await page.evaluate(
        async ({ email, password }) => {
          const client = new window.page.PocketBase(location.origin);
          const first = await window.page.refusal(
            client.collection("users").authWithPassword(email, password),
          );
          const { mfaId } = first.response;
          const done = await window.page.register(client, "users", { mfaId });
          return { first, record: done["record"], token: done["token"] };
        },
        { email, password },
      );
      expect(signedIn).toMatchObject({
        first: { status: 401, response: { enrol: ["passkey"] } },
        record: { email },
        token: expect.any(String),
      });
    } finally {
      await policy({ required: false });
    }
    await close(context);
  });

  test("a response is good once", async () => {
    const { context, page } = await enrolled("emil");
    const { given, status } = await signIn(page);
    expect(status).toBe(200);
    const replayed = await page.evaluate((given) => {
      const client = new window.page.PocketBase(location.origin);
      return window.page.refusal(window.page.send(client, "users", given));
    }, given);
    expect(replayed).toMatchObject({
      status: 400,
      response: { message: "Invalid or expired passkey challenge." },
    });
    await close(context);
  });

  test("a challenge outlives the worker that gave it", async () => {
    const { email, context, page } = await enrolled("kim");
    const given = await page.evaluate(() =>
      window.page.assertion(new window.page.PocketBase(location.origin), "users"),
    );
    process.kill(platform.pids().worker, "SIGKILL");
    await eventually(() => root.health.check());
    const { record } = await page.evaluate(
      (given) => window.page.send(new window.page.PocketBase(location.origin), "users", given),
      given,
    );
    expect(record["email"]).toBe(email);
    const replayed = await page.evaluate((given) => {
      const client = new window.page.PocketBase(location.origin);
      return window.page.refusal(window.page.send(client, "users", given));
    }, given);
    expect(replayed.status).toBe(400);
    await close(context);
  });

  test("another page may not use it, until the policy names that page", async () => {
    const { email, context, page } = await enrolled("fay");
    // Chromium lets a subdomain use passkeys of the domain above it: only the server can refuse.
    const origin = `http://shop.acme.localhost:${site.port}`;
    await open(page, origin);
    expect(await signIn(page)).toMatchObject(REFUSED);
    await policy({ passkey: { origins: [origin] } });
    expect(await signIn(page)).toMatchObject({ status: 200, email });
    await policy({ passkey: { origins: [] } });
    expect(await signIn(page)).toMatchObject(REFUSED);
    await close(context);
  });

  test("a copy of the device is noticed by its counter", async () => {
    const { context, page, device } = await enrolled("gus");
    const [copy] = await device.credentials();
    expect(await signIn(page)).toMatchObject({ status: 200 });
    if (copy === undefined) throw new Error("no credential");
    await device.restore(copy);
    expect(await signIn(page)).toMatchObject(REFUSED);
    expect(await signIn(page)).toMatchObject(REFUSED);
    await close(context);
  });
});
