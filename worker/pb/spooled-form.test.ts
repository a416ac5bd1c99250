import { afterAll, afterEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../../shared/limits.ts";
import { bindBody } from "./body.ts";

const temporary = mkdtempSync(join(tmpdir(), "spooled-form-"));
const left = (): string[] => readdirSync(temporary);

afterEach(() => expect(left()).toEqual([]));
afterAll(() => rmSync(temporary, { recursive: true }));

const MANY = limits.requestBodyBytesMax;
const large = crypto.getRandomValues(new Uint8Array(65_536));
const largeFile = (name: string): File =>
  new File(Array<Uint8Array<ArrayBuffer>>(40).fill(large), name, { type: "application/zip" });

function formRequest(form: FormData): Request {
  return new Request("http://tenant/", { method: "POST", body: form });
}

test("large files wait on disk, small ones and values do not, all in the order of the form", async () => {
  const form = new FormData();
  form.append("title", "ä\r\n--x");
  form.append("n", "1");
  form.append("docs", largeFile("größe.zip"));
  form.append("docs", new File(["small"], "small.txt"));
  form.append("docs", largeFile("b.zip"));
  form.append("empty", new File([], ""));
  form.append("@jsonPayload", '{"late":"1"}');
  const body = await bindBody(formRequest(form), MANY, temporary);
  expect(body.values).toEqual({ title: "ä\r\n--x", n: 1, empty: "", late: "1" });
  const docs = body.files.get("docs") ?? [];
  expect(docs.map(({ name, size, mime }) => ({ name, size, mime }))).toEqual([
    { name: "größe.zip", size: 40 * 65_536, mime: "application/octet-stream" },
    { name: "small.txt", size: 5, mime: "text/plain" },
    { name: "b.zip", size: 40 * 65_536, mime: "application/octet-stream" },
  ]);
  expect(left()).toHaveLength(1);
  const bytes = new Uint8Array(await (docs[2]?.blob ?? new Blob()).arrayBuffer());
  expect(Bun.hash(bytes)).toBe(Bun.hash(new Uint8Array(await largeFile("b.zip").arrayBuffer())));
  await body.discard?.();
});

test("many small files wait on disk as well, once they add up", async () => {
  const form = new FormData();
  const bytes = limits.formFileMemoryBytesMax / 2;
  const count = limits.formMemoryBytesMax / bytes + 3;
  for (let index = 0; index < count; index++) {
    form.append("docs", new File([new Uint8Array(bytes).fill(index)], `${index}.bin`));
  }
  const body = await bindBody(formRequest(form), MANY, temporary);
  const [directory = ""] = left();
  expect(readdirSync(join(temporary, directory))).toHaveLength(3);
  for (const [index, { blob, size }] of (body.files.get("docs") ?? []).entries()) {
    expect(size).toBe(bytes);
    expect(new Uint8Array(await blob.slice(-1).arrayBuffer())).toEqual(new Uint8Array([index]));
  }
  await body.discard?.();
});

test("the same form says the same whether it is small or spooled", async () => {
  const fill = (size: number): FormData => {
    const form = new FormData();
    form.append("a", "true");
    form.append("a", "2");
    form.append("ü", "");
    form.append("file", new File(["{}"], "x.json", { type: "text/html" }));
    form.append("file", new File([], "none.txt"));
    // Of a file input that was left empty; and what has no name is no file.
    form.append("empty", new File([], ""));
    form.append("nameless", new File(["5"], ""));
    form.append("pad", "p".repeat(size));
    return form;
  };
  // Only what announces a small size is read in one piece.
  const announced = async (size: number): Promise<Request> => {
    const { headers, body } = new Response(fill(size));
    const bytes = await new Response(body).bytes();
    const type = headers.get("content-type") ?? "";
    const known = { "content-type": type, "content-length": String(bytes.length) };
    return new Request("http://tenant/", { method: "POST", body: bytes, headers: known });
  };
  const [small, spooled] = await Promise.all(
    [1, limits.formFileMemoryBytesMax].map(async (size) => bindBody(await announced(size), MANY, temporary)),
  );
  const shown = (body: typeof small): unknown => [
    { ...body?.values, pad: "" },
    [...(body?.files ?? [])].map(([key, files]) => [
      key,
      files.map(({ name, size, mime }) => [name, size, mime]),
    ]),
  ];
  expect(shown(spooled)).toEqual(shown(small));
  expect(small?.values).toMatchObject({ a: [true, 2], ü: "", empty: "", nameless: 5 });
});

test("a form that is too large, cut off, broken or given up leaves nothing behind", async () => {
  const form = new FormData();
  form.append("docs", largeFile("a.zip"));
  const whole = formRequest(form);
  const type = whole.headers.get("content-type") ?? "";
  const bytes = new Uint8Array(await whole.arrayBuffer());
  const send = (body: BodyInit, signal?: AbortSignal): Request =>
    new Request("http://tenant/", {
      method: "POST",
      body,
      headers: { "content-type": type },
      ...(signal === undefined ? {} : { signal }),
    });
  const slow = (part: Uint8Array<ArrayBuffer>): ReadableStream => new Blob([part]).stream();
  await expect(bindBody(send(slow(bytes)), 2 * 1024 * 1024, temporary)).rejects.toMatchObject({
    status: 413,
  });
  await expect(bindBody(send(slow(bytes.slice(0, -20_000))), MANY, temporary)).rejects.toMatchObject({
    status: 400,
  });
  const noise = new Uint8Array(limits.formFileMemoryBytesMax + 1).fill(120);
  await expect(bindBody(send(slow(noise)), MANY, temporary)).rejects.toMatchObject({ status: 400 });
  const client = new AbortController();
  const endless = new ReadableStream({
    async pull(controller) {
      controller.enqueue(bytes.slice(0, 2_000_000));
      await Bun.sleep(20);
      client.abort();
    },
  });
  await expect(bindBody(send(endless, client.signal), MANY, temporary)).rejects.toThrow();
});

test.each([
  ["filename*=UTF-8''%e2%82%ac.txt", "€.txt"],
  ['filename="plain.txt"', "plain.txt"],
])("a file with %s is %s", async (parameter, name) => {
  const text = `--B\r\nContent-Disposition: form-data; name="f"; ${parameter}\r\n\r\nhello\r\n--B--\r\n`;
  const headers = {
    "content-type": "multipart/form-data; boundary=B",
    "content-length": String(text.length),
  };
  const request = new Request("http://tenant/", { method: "POST", headers, body: text });
  const { files } = await bindBody(request, MANY, temporary);
  expect(files.get("f")?.map((file) => [file.name, file.size])).toEqual([[name, 5]]);
});
