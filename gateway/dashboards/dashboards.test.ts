import { describe, expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { builtFiles } from "./built-files.ts";
import { filesInMemory, serveDashboard } from "./serve-file.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const built = await builtFiles([
  ["operators/index.html", bytes("<html>")],
  ["operators/assets/index-BfX3k2aB.js", bytes("plain")],
  ["operators/assets/index-BfX3k2aB.js.br", bytes("brotli")],
  ["operators/assets/index-BfX3k2aB.js.gz", bytes("gzip")],
  ["operators/assets/only-coded.js.br", bytes("brotli")],
  ["operators/service-worker.js", bytes("sw")],
  ["secret.txt", bytes("no dashboard's")],
  ["elsewhere/index.html", bytes("nor this")],
]);
const files = filesInMemory(built);
const get = (path: string, headers: Record<string, string> = {}, method = "GET") =>
  serveDashboard(files, "operators", path, new Request("http://x/", { headers, method }));

describe("a dashboard's files", () => {
  test.each(["/", "/tenants", "/tenants/acme", "//", "/index.html"])("%s is the app", async (path) => {
    const page = await get(path);
    expect(await page?.text()).toBe("<html>");
    expect(page?.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(page?.headers.get("cache-control")).toBe("no-cache");
    expect(page?.headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
  });

  test.each([
    ["br, gzip", "br", "brotli"],
    ["gzip, deflate", "gzip", "gzip"],
    ["br;q=0, gzip;q=0.5", "gzip", "gzip"],
    ["identity", null, "plain"],
    ["", null, "plain"],
  ])("accept-encoding %j gets %p", async (accepted, coding, text) => {
    const file = await get("/assets/index-BfX3k2aB.js", { "accept-encoding": accepted });
    expect(file?.headers.get("content-encoding")).toBe(coding);
    expect(await file?.text()).toBe(text);
    expect(file?.headers.get("vary")).toBe("accept-encoding");
    expect(file?.headers.get("cache-control")).toContain("immutable");
  });

  test("a name without a hash is asked for again each time, and 304 when it is the same", async () => {
    const first = await get("/service-worker.js");
    expect(first?.headers.get("cache-control")).toBe("no-cache");
    const etag = first?.headers.get("etag") ?? "";
    for (const match of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
      const again = await get("/service-worker.js", { "if-none-match": match });
      expect([again?.status, await again?.text()]).toEqual([304, ""]);
    }
    expect((await get("/service-worker.js", { "if-none-match": '"x"' }))?.status).toBe(200);
  });

  test("HEAD has a length and no body; anything else is refused", async () => {
    const head = await get("/service-worker.js", {}, "HEAD");
    expect([head?.headers.get("content-length"), await head?.text()]).toEqual(["2", ""]);
    await expect(get("/service-worker.js", {}, "POST")).rejects.toMatchObject({ code: "method_not_allowed" });
  });

  test.each([
    "/../secret.txt",
    "/..%2fsecret.txt",
    "/assets/../../secret.txt",
    "/assets/missing.js",
    "/assets/only-coded.js",
    "/assets/index-BfX3k2aB.js.br",
    "/%00.html",
    "/C:\\secret.txt",
  ])("%s is not there", (path) => expect(get(path)).rejects.toMatchObject({ code: "not_found" }));

  test("a dashboard that was not built, and no folder at all, are nothing", async () => {
    const request = new Request("http://x/");
    expect(await serveDashboard(files, "customers", "/", request)).toBeUndefined();
    expect(await serveDashboard(undefined, "operators", "/", request)).toBeUndefined();
  });

  test("a folder that is no build is refused", async () => {
    const many = Array.from(
      { length: limits.dashboardFilesMax + 1 },
      (_, i): [string, Uint8Array<ArrayBuffer>] => [`operators/${i}`, bytes("")],
    );
    await expect(builtFiles(many)).rejects.toMatchObject({ code: "invalid_directory" });
  });
});
