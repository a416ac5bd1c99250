import { expect, test } from "bun:test";
import { replayableBody } from "./replayable-body.ts";

function request(chunks: string[], headers: Record<string, string> = {}): Request {
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = chunks.shift();
      if (next === undefined) controller.close();
      else if (next === "pause") await new Promise(() => undefined);
      else controller.enqueue(new TextEncoder().encode(next));
    },
  });
  return new Request("http://gateway/", { method: "POST", body, headers, duplex: "half" } as RequestInit);
}

test("a small body of known length can be sent again", async () => {
  const body = await replayableBody(request(["ab", "c"], { "content-length": "3" }));
  expect(body.again).toBe(true);
  expect(new TextDecoder().decode(body.take() as Uint8Array)).toBe("abc");
  expect(new TextDecoder().decode(body.take() as Uint8Array)).toBe("abc");
});

test("one of unknown length streams, once", async () => {
  const body = await replayableBody(request(["ab", "c"]));
  expect(body.again).toBe(false);
  expect(await new Response(body.take() as ReadableStream).text()).toBe("abc");
});

test("one of unknown length that is empty is none", async () => {
  for (const chunks of [[], [""]]) {
    const body = await replayableBody(request(chunks));
    expect([body.again, body.take()]).toEqual([true, null]);
  }
});

test("too large is refused: by its length at once, without one when it gets there", async () => {
  await expect(replayableBody(request(["abc"], { "content-length": "3" }), 2)).rejects.toMatchObject({
    code: "too_large",
  });
  const body = await replayableBody(request(["ab", "c"]), 2);
  await expect(new Response(body.take() as ReadableStream).text()).rejects.toThrow();
  expect(body.trouble).toMatchObject({ code: "too_large" });
});

test("one that is shorter or longer than it says is refused", async () => {
  for (const chunks of [["a"], ["abcd"]]) {
    const refused = replayableBody(request(chunks, { "content-length": "3" }));
    await expect(refused).rejects.toMatchObject({ code: "invalid_body" });
  }
});

test("one that does not come is given up, held or streamed", async () => {
  const held = replayableBody(request(["a", "pause"], { "content-length": "3" }), 10, 20);
  await expect(held).rejects.toMatchObject({ code: "client_too_slow" });
  const body = await replayableBody(request(["a", "pause"]), 10, 20);
  await expect(new Response(body.take() as ReadableStream).text()).rejects.toThrow();
  expect(body.trouble).toMatchObject({ code: "client_too_slow" });
});

test.each(["5", undefined])(
  "a client that leaves ends a body of length %p at once, and not as if it were whole",
  async (length) => {
    const leaving = new AbortController();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array(2)),
    });
    const request = new Request("http://x/", {
      method: "POST",
      body,
      signal: leaving.signal,
      ...(length === undefined ? {} : { headers: { "content-length": length } }),
    });
    setTimeout(() => leaving.abort(), 20);
    const read = async () => {
      const taken = (await replayableBody(request, 100, 5_000)).take();
      return new Response(taken).arrayBuffer();
    };
    await expect(read()).rejects.toMatchObject({ code: "invalid_body" });
  },
);
