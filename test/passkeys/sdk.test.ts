import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import PocketBase from "pocketbase";
import { ensureChromium } from "../../scripts/chromium.ts";
import { OIDC_CLIENT, type TestOidc, startTestOidc } from "../../worker/features/oauth2/testing.ts";
import { type AllInOne, startAllInOne, temporaryDirectory } from "../e2e/all-in-one.ts";
import { eventually, killAll } from "../e2e/process.ts";
import { openBrowser, pageScript, startSite } from "./browser.ts";

setDefaultTimeout(60_000);

/** The official SDK in a real Chromium, on a site of its own, against a tenant behind the gateway. */
const program = ensureChromium();
const data = temporaryDirectory();
let platform: AllInOne;
let root: PocketBase;
let browser: Browser;
let site: ReturnType<typeof startSite>;
let page: Page;
let base: string;

describe.skipIf(program === undefined)("the SDK in Chromium", () => {
  beforeAll(async () => {
    platform = await startAllInOne(data);
    base = platform.url("acme");
    expect((await platform.manybase("tenants", "create", "acme")).status).toBe(0);
    await platform.manybase("tenants", "superuser", "acme", "root@example.com", "root-password-1");
    root = new PocketBase(base);
    root.autoCancellation(false);
    await root.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
    await root.collections.create({
      name: "posts",
      type: "base",
      listRule: "",
      viewRule: "",
      createRule: "@request.auth.id != ''",
      updateRule: "@request.auth.id != ''",
      deleteRule: "@request.auth.id != ''",
      fields: [
        { name: "title", type: "text", required: true },
        { name: "cover", type: "file", mimeTypes: ["text/plain"], maxSelect: 1 },
      ],
    });
    const values = { email: "ann@example.com", password: "12345678", passwordConfirm: "12345678" };
    await root.collection("users").create(values);
    site = startSite(await pageScript());
    browser = await openBrowser(program ?? "");
    page = await (await browser.newContext()).newPage();
    await page.goto(`http://127.0.0.1:${site.port}/`);
    await page.evaluate(
      (base) =>
        new window.page.PocketBase(base).collection("users").authWithPassword("ann@example.com", "12345678"),
      base,
    );
  });
  afterAll(async () => {
    await browser?.close();
    site?.stop();
    await killAll();
    rmSync(data, { recursive: true, force: true });
  });

  test("signs in across origins, and a page that is loaded again still is", async () => {
    await page.reload();
    const seen = await page.evaluate(async (base) => {
      const client = new window.page.PocketBase(base);
      const { record } = await client.collection("users").authRefresh();
      return [client.authStore.isValid, record["email"]];
    }, base);
    expect(seen).toEqual([true, "ann@example.com"]);
  });

  test("makes, finds, changes and deletes records, and reads why something is refused", async () => {
    const seen = await page.evaluate(async (base) => {
      const client = new window.page.PocketBase(base);
      const posts = client.collection("posts");
      const made = await posts.create({ title: "first" });
      await posts.update(made.id, { title: "changed" });
      const found = await posts.getFirstListItem(client.filter("title = {:title}", { title: "changed" }));
      await posts.delete(made.id);
      const gone = await window.page.refusal(posts.getOne(made.id));
      const blank = await window.page.refusal(posts.create({ title: "" }));
      return { same: found.id === made.id, gone: gone.status, blank: blank.response["data"] };
    }, base);
    expect(seen).toEqual({
      same: true,
      gone: 404,
      blank: { title: { code: "validation_required", message: "Cannot be blank." } },
    });
  });

  test("uploads a file and loads it", async () => {
    const seen = await page.evaluate(async (base) => {
      const client = new window.page.PocketBase(base);
      const cover = new File(["from the browser"], "Cover page.txt", { type: "text/plain" });
      const made = await client.collection("posts").create({ title: "with a file", cover });
      const answer = await fetch(client.files.getURL(made, String(made["cover"])));
      return { name: String(made["cover"]), text: await answer.text() };
    }, base);
    expect(seen.name).toMatch(/^cover_page_\w{10}\.txt$/);
    expect(seen.text).toBe("from the browser");
  });

  test("hears of changes by the browser's own EventSource", async () => {
    await page.evaluate(async (base) => {
      const client = new window.page.PocketBase(base);
      const heard: string[] = [];
      Object.assign(window, { heard });
      await client.collection("posts").subscribe("*", ({ action, record }) => {
        heard.push(`${action} ${record["title"]}`);
      });
    }, base);
    const { id } = await root.collection("posts").create({ title: "live" });
    await root.collection("posts").update(id, { title: "still live" });
    await root.collection("posts").delete(id);
    await eventually(async () => {
      expect(await page.evaluate(() => (window as unknown as { heard: string[] }).heard)).toEqual([
        "create live",
        "update still live",
        "delete still live",
      ]);
    });
  });

  describe("with a provider", () => {
    let oidc: TestOidc;
    beforeAll(async () => {
      oidc = await startTestOidc([`${base}/api/oauth2-redirect`]);
      oidc.accounts.set("Kim", { email: "kim@example.com", email_verified: true, name: "Kim" });
      const { issuer } = oidc;
      await root.collections.update("users", {
        oauth2: {
          enabled: true,
          providers: [
            {
              name: "oidc",
              ...OIDC_CLIENT,
              authURL: `${issuer}/auth`,
              tokenURL: `${issuer}/token`,
              userInfoURL: `${issuer}/me`,
            },
          ],
        },
      });
    });
    afterAll(() => oidc.close());

    test("signs in through its window, which closes by itself", async () => {
      const opening = page.context().waitForEvent("page");
      const signedIn = page.evaluate(async (base) => {
        const client = new window.page.PocketBase(base);
        client.authStore.clear();
        const { record, meta } = await client.collection("users").authWithOAuth2({ provider: "oidc" });
        return [record["email"], meta?.["isNew"]];
      }, base);
      const popup = await opening;
      const closed = popup.waitForEvent("close");
      await popup.fill("input[name=login]", "Kim");
      await popup.fill("input[name=password]", "any");
      await popup.click("button[type=submit]");
      await popup.click("button[type=submit]:has-text('Continue')");
      expect(await signedIn).toEqual(["kim@example.com", true]);
      await closed;
    });
  });
});
