import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Server } from "bun";
import { isPublicAddress } from "./address.ts";
import { Network } from "./network.ts";

let server: Server<undefined>;
const open = new Network({ allowPrivate: true });
const options = { signal: AbortSignal.timeout(10_000), bytesMax: 100 };

beforeAll(() => {
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/loop") return new Response(null, { status: 302, headers: { location: "/loop" } });
      if (pathname === "/moved") return new Response(null, { status: 302, headers: { location: "/there" } });
      if (pathname === "/long") return new Response("x".repeat(101));
      if (pathname === "/never") return new Promise<Response>(() => undefined);
      return new Response(`${request.method} ${pathname} ${await request.text()}`, { status: 201 });
    },
  });
});
afterAll(() => server.stop(true));

const text = async (path: string, more: object = {}): Promise<string> => {
  const { status, body } = await open.request(`http://127.0.0.1:${server.port}${path}`, {
    ...options,
    ...more,
  });
  return `${status} ${new TextDecoder().decode(body)}`;
};

test("isPublicAddress", () => {
  for (const address of [
    ...["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"],
    ...[
      "::1",
      "::",
      "::ffff:10.0.0.1",
      "fd00::1",
      "fe80::1",
      "fec0::1",
      "64:ff9b::a00:1",
      "2002:a00:1::",
      "nonsense",
    ],
  ]) {
    expect([address, isPublicAddress(address)]).toEqual([address, false]);
  }
  for (const address of ["1.1.1.1", "172.32.0.1", "2606:4700:4700::1111"]) {
    expect([address, isPublicAddress(address)]).toEqual([address, true]);
  }
});

describe("request", () => {
  test("sends, follows what it may, and is bounded", async () => {
    expect(await text("/a", { method: "POST", body: "hé" })).toBe("201 POST /a hé");
    expect(await text("/moved", { redirectsMax: 1 })).toBe("201 GET /there ");
    expect(await text("/moved")).toStartWith("302");
    expect(await text("/loop", { redirectsMax: 2 })).toStartWith("302");
    expect(text("/long")).rejects.toThrow("the answer is too long");
    expect(text("/never", { signal: AbortSignal.timeout(20) })).rejects.toThrow("Cannot connect");
  });

  test("does not reach private addresses, by number or by name", async () => {
    const closed = new Network();
    for (const host of ["127.0.0.1", "localhost", "[::1]", "0x7f000001", "[::ffff:127.0.0.1]"]) {
      expect(closed.request(`http://${host}:${server.port}/a`, options)).rejects.toMatchObject({
        code: "invalid_host",
      });
    }
    expect(closed.request("file:///etc/passwd", options)).rejects.toMatchObject({ code: "invalid_host" });
    expect(closed.resolve("localhost")).rejects.toMatchObject({ code: "invalid_host" });
    expect(await open.resolve("127.0.0.1")).toBe("127.0.0.1");
  });
});
