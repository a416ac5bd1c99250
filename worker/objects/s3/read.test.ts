import { afterEach, describe, expect, test } from "bun:test";
import { limits } from "../../../shared/limits.ts";
import { caught, pattern } from "../contract.fixture.ts";
import { openS3Store } from "./s3-store.ts";

const body = pattern(400_000);
/** What was asked for, as `first-last`. */
let asked: string[] = [];
let server: Bun.Server<undefined> | undefined;
afterEach(async () => {
  asked = [];
  await server?.stop(true);
});

/** A store that answers ranges of `body`, of each at most `sent` bytes; then it stops, or says nothing more. */
function openBroken(sent: (attempt: number) => number, end: "stop" | "be silent") {
  server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      const [, from = "", to = ""] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("range") ?? "") ?? [];
      asked.push(`${from}-${to}`);
      const [first, last] = [Number(from), Number(to)];
      const part = body.subarray(first, last + 1);
      const some = part.subarray(0, sent(asked.length));
      const stream = new ReadableStream<Uint8Array>({
        async start(controller) {
          controller.enqueue(some);
          await Bun.sleep(5);
          if (some.length === part.length || end === "stop") controller.close();
          else await Bun.sleep(10_000);
        },
      });
      const headers = {
        "content-length": String(part.length),
        "content-range": `bytes ${first}-${last}/${body.length}`,
      };
      return new Response(stream, { status: 206, headers });
    },
  });
  return openS3Store({
    bucket: "bucket",
    prefix: "",
    region: "us-east-1",
    endpoint: `http://127.0.0.1:${server.port}`,
    forcePathStyle: true,
    credentials: { accessKeyId: "a", secretAccessKey: "b" },
    requestMs: 150,
  });
}

describe("s3: a ranged read", () => {
  for (const end of ["stop", "be silent"] as const) {
    test(`goes on from where the store began to ${end}`, async () => {
      const store = openBroken((attempt) => (attempt < limits.storeAttemptsMax ? 100_000 : 400_000), end);
      const found = await store.range("a", { offset: 50_000, length: 300_000 });
      expect(Buffer.compare(found?.bytes ?? new Uint8Array(), body.subarray(50_000, 350_000))).toBe(0);
      expect(found?.size).toBe(body.length);
      const starts = asked.map((range) => Number(range.split("-")[0]));
      expect(starts).toHaveLength(limits.storeAttemptsMax);
      // Not from its beginning again.
      expect(starts[0]).toBe(50_000);
      expect(starts[1]).toBeGreaterThan(50_000);
      expect(starts[2]).toBeGreaterThan(starts[1] as number);
    });

    test(`ends when the store does not stop to ${end}`, async () => {
      const store = openBroken(() => 10_000, end);
      expect(await caught(store.range("a", { offset: 0, length: 300_000 }))).toMatchObject({
        code: "store_unavailable",
      });
      expect(asked).toHaveLength(limits.storeAttemptsMax);
    });
  }
});
