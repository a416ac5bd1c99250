import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { droppedPrefix, storagePrefix } from "../../../shared/objects/layout.ts";
import { readDropped } from "../../points/dropped-uploads.ts";
import PocketBase, { type RecordModel } from "pocketbase";
import sharp from "sharp";
import { SUPERUSER, type TestApi, startTestApi } from "../../app-testing.ts";
import { parseRanges } from "../../pb/byte-range.ts";

let api: TestApi;
let root: PocketBase;
let record: RecordModel;

const text = "0123456789".repeat(10);

beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    name: "media",
    type: "base",
    fields: [
      { name: "title", type: "text" },
      { name: "files", type: "file", maxSelect: 9, thumbs: ["30x20", "0x10", "40x40f"] },
    ],
  });
  const image = await sharp({ create: { width: 60, height: 60, channels: 3, background: "red" } })
    .png()
    .toBuffer();
  record = await root.collection("media").create({
    files: [
      new File([text], "text.txt"),
      new File([new Uint8Array(image)], "red.png"),
      new File(["<svg xmlns='http://www.w3.org/2000/svg'/>"], "art.svg"),
      new File(["not a png"], "fake.png"),
    ],
  });
});
afterAll(() => api.close());

const named = (start: string): string =>
  (record["files"] as string[]).find((name) => name.startsWith(start)) ?? "";
const get = (
  name: string,
  query = "",
  headers: Record<string, string> = {},
  method = "GET",
): Promise<Response> => fetch(`${api.url}/api/files/media/${record.id}/${name}${query}`, { headers, method });

describe("parseRanges", () => {
  const table: [string | null, unknown][] = [
    [null, []],
    ["bytes=", []],
    ["bytes=0-0", [{ offset: 0, length: 1 }]],
    ["bytes=90-", [{ offset: 90, length: 10 }]],
    ["bytes=-5", [{ offset: 95, length: 5 }]],
    ["bytes=-500", [{ offset: 0, length: 100 }]],
    ["bytes=-0", [{ offset: 100, length: 0 }]],
    ["bytes=50-1000", [{ offset: 50, length: 50 }]],
    ["bytes=+5-+6", [{ offset: 5, length: 2 }]],
    ["bytes=100-", "unsatisfiable"],
    [`bytes=${"9".repeat(20)}-`, "invalid"],
    [`bytes=0-${"9".repeat(20)}`, "invalid"],
    ["bytes=5-2", "invalid"],
    ["bytes=-", "invalid"],
    ["lines=1-2", "invalid"],
    [
      "bytes=0-1, 4-5,,100-",
      [
        { offset: 0, length: 2 },
        { offset: 4, length: 2 },
      ],
    ],
    ["bytes=0-90,0-90", []],
  ];
  for (const [header, expected] of table) {
    test(String(header), () => expect(parseRanges(header, 100)).toEqual(expected as never));
  }
});

/** headers of the request, status, headers of the answer, body */
test.each<[Record<string, string>, number, Record<string, string | null>, string]>([
  [
    { range: "bytes=5-2" },
    416,
    { "content-range": null, "cache-control": null, "accept-ranges": null },
    "invalid range\n",
  ],
  [{ range: "bytes=100-" }, 416, { "content-range": "bytes */100" }, "invalid range: failed to overlap\n"],
  [{ range: "bytes=-0" }, 206, { "content-range": "bytes 100-99/100" }, ""],
  [{ "if-none-match": "*" }, 304, { "accept-ranges": null }, ""],
  [{ "if-none-match": '"x"' }, 200, { "accept-ranges": "bytes" }, text],
  [{ "if-match": '"x"' }, 412, { "accept-ranges": null }, ""],
  [{ "if-match": "*" }, 200, {}, text],
  [{ "if-modified-since": "Wed, 21 Oct 2099 07:28:00 GMT" }, 304, {}, ""],
  [{ "if-modified-since": "Wed Oct 21 07:28:00 2099" }, 304, {}, ""],
  [{ "if-modified-since": "2099-10-21" }, 200, {}, text],
  [{ "if-unmodified-since": "1999-10-21" }, 200, {}, text],
])("asked with %p it answers %p", async (sent, status, headers, body) => {
  const answer = await get(named("text"), "", sent);
  expect([answer.status, await answer.text()]).toEqual([status, body]);
  for (const [name, value] of Object.entries(headers)) expect(answer.headers.get(name)).toBe(value);
});

test("several ranges are parts of one answer", async () => {
  const answer = await get(named("text"), "", { range: "bytes=0-1,98-" });
  const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(
    answer.headers.get("content-type") ?? "",
  )?.[1];
  const part = (range: string, bytes: string): string =>
    `--${boundary}\r\nContent-Range: bytes ${range}/100\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n${bytes}\r\n`;
  const body = `${part("0-1", "01")}${part("98-99", "89")}--${boundary}--\r\n`;
  expect([answer.status, await answer.text()]).toEqual([206, body]);
});

test("a file is served whole, in ranges and by condition, sandboxed", async () => {
  const whole = await get(named("text"));
  expect([whole.status, await whole.text()]).toEqual([200, text]);
  expect(Object.fromEntries(whole.headers)).toMatchObject({
    "content-type": "text/plain; charset=utf-8",
    "content-disposition": `attachment; filename=${named("text")}`,
    "content-security-policy": "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox",
    "cache-control": "max-age=2592000, stale-while-revalidate=86400",
    "accept-ranges": "bytes",
  });
  expect(whole.headers.has("x-frame-options")).toBe(false);
  const part = await get(named("text"), "", { range: "bytes=3-5" });
  expect([part.status, await part.text(), part.headers.get("content-range")]).toEqual([
    206,
    "345",
    "bytes 3-5/100",
  ]);
  const beyond = await get(named("text"), "", { range: "bytes=100-" });
  expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, "bytes */100"]);
  const modified = whole.headers.get("last-modified") ?? "";
  expect((await get(named("text"), "", { "if-modified-since": modified })).status).toBe(304);
  expect((await get(named("text"), "", { "if-range": modified, range: "bytes=0-1" })).status).toBe(206);
  const older = new Date(Date.parse(modified) - 5000).toUTCString();
  expect((await get(named("text"), "", { "if-range": older, range: "bytes=0-1" })).status).toBe(200);
  const head = await get(named("text"), "", {}, "HEAD");
  expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([200, "100", ""]);
});

test("images show inline, everything that could act is an attachment", async () => {
  expect((await get(named("red"))).headers.get("content-disposition")).toStartWith("inline;");
  expect((await get(named("red"), "?download=1")).headers.get("content-disposition")).toStartWith(
    "attachment;",
  );
  const svg = await get(named("art"));
  expect(svg.headers.get("content-disposition")).toStartWith("attachment;");
  expect(svg.headers.get("content-type")).toBe("image/svg+xml");
  // The bytes decide, not the name.
  expect((await get(named("fake"))).headers.get("content-disposition")).toStartWith("attachment;");
});

test("thumbs are made in the listed sizes and 100x100, anything else is the original", async () => {
  const sizeOf = async (query: string): Promise<string> => {
    const { width, height } = await sharp(await (await get(named("red"), query)).arrayBuffer()).metadata();
    return `${width}x${height}`;
  };
  expect(await sizeOf("?thumb=30x20")).toBe("30x20");
  expect(await sizeOf("?thumb=0x10")).toBe("10x10");
  expect(await sizeOf("?thumb=40x40f")).toBe("40x40");
  expect(await sizeOf("?thumb=100x100")).toBe("100x100");
  expect(await sizeOf("?thumb=31x31")).toBe("60x60");
  expect(await (await get(named("fake"), "?thumb=100x100")).text()).toBe("not a png");
  expect(await (await get(named("text"), "?thumb=100x100")).text()).toBe(text);
});

test("a file under the name of another field is nothing, one without an ending gets that of its type", async () => {
  const form = new FormData();
  form.append("title", "kept");
  form.append("title", new File(["x"], "title.txt"));
  form.append("files", new File(["#!/bin/sh\necho"], "start"));
  const made = await root.collection("media").create<RecordModel & { files: string[] }>(form);
  expect(made).toMatchObject({ title: "kept", files: [expect.stringMatching(/^start_\w{10}\.sh$/)] });
  await root.collection("media").delete(made.id);
});

/** the original's name and format, its size, the thumb asked for, what it is */
test.each<[string, "png" | "jpeg" | "gif" | "webp", string, string, string]>([
  ["a.jpg", "jpeg", "60x40", "0x10", "jpeg 15x10"],
  ["really-a-png.jpg", "png", "50x100", "30x20", "png 30x20"],
  ["really-a-jpeg.txt", "jpeg", "60x40", "30x20", "jpeg 30x20"],
  ["still.gif", "gif", "24x48", "100x100", "gif 100x100"],
  ["small.webp", "webp", "30x30", "30x20", "png 30x20"],
  ["cut.png", "png", "61x35", "40x40f", "png 40x22"],
  ["within.png", "png", "30x39", "40x40f", "png 30x39"],
])("a thumb of %s (%s, %s) in %s is %s", async (name, format, size, thumb, expected) => {
  const [width, height] = size.split("x").map(Number);
  const image = await sharp({
    create: { width: width ?? 0, height: height ?? 0, channels: 3, background: "red" },
  })
    .toFormat(format)
    .toBuffer();
  const { id, files } = await root
    .collection("media")
    .create<RecordModel & { files: string[] }>({ files: [new File([new Uint8Array(image)], name)] });
  const answer = await fetch(`${api.url}/api/files/media/${id}/${files[0]}?thumb=${thumb}`);
  const made = await sharp(await answer.clone().arrayBuffer()).metadata();
  expect(`${made.format} ${made.width}x${made.height}`).toBe(expected);
  expect(answer.headers.get("content-type")).toBe(`image/${made.format}`);
  await root.collection("media").delete(id);
});

const storedKeys = async (name: string): Promise<string[]> => {
  const { objects, id } = api.tenant;
  const { objects: all } = await objects.list({ prefix: storagePrefix(id) });
  return all.map(({ key }) => key).filter((key) => key.includes(name));
};

/** Resolves when all of them are. */
async function notedAsDropped(keys: readonly string[]): Promise<void> {
  const { objects, id } = api.tenant;
  const noted = new Set<string>();
  while (keys.some((key) => !noted.has(key))) {
    await Bun.sleep(10);
    for (const { key } of (await objects.list({ prefix: droppedPrefix(id) })).objects) {
      for (const one of await readDropped(objects, id, key, {})) noted.add(one);
    }
  }
}

test("a file that its record lets go of is noted as dropped", async () => {
  const media = root.collection("media");
  const { id, files } = await media.create<RecordModel & { files: string[] }>({
    files: [new File(["x"], "gone.txt")],
  });
  await media.update(id, { "files-": files });
  expect((await fetch(`${api.url}/api/files/media/${id}/${files[0]}`)).status).toBe(404);
  await notedAsDropped(await storedKeys(files[0] ?? ""));
});

test("views serve the files of what they select from, and only by their own rows", async () => {
  const view = { type: "view" };
  await root.collections.create({
    ...view,
    name: "shown",
    viewQuery: "select id, files as pictures from media",
  });
  await root.collections.create({ ...view, name: "again", viewQuery: "select id, pictures from shown" });
  await root.collections.create({ ...view, name: "apart", viewQuery: "select id from media" });
  const status = async (path: string): Promise<number> =>
    (await fetch(`${api.url}/api/files/${path}/${named("text")}`)).status;
  const served = await fetch(`${api.url}/api/files/again/${record.id}/${named("text")}`);
  expect([served.status, await served.text()]).toEqual([200, text]);
  expect(await status(`shown/${record.id}`)).toBe(200);
  expect(await status("shown/nobody")).toBe(404);
  expect(await status(`apart/${record.id}`)).toBe(404);
  await root.collections.update("shown", {
    viewQuery: "select id, files as pictures from media where id = 'x'",
  });
  expect([await status(`shown/${record.id}`), await status(`again/${record.id}`)]).toEqual([404, 404]);
  for (const name of ["again", "apart", "shown"]) await root.collections.delete(name);
});

test("a file that no record names is not served, and is noted as dropped with its collection", async () => {
  expect((await get("text_0000000000.txt")).status).toBe(404);
  expect((await fetch(`${api.url}/api/files/media/nobody/${named("text")}`)).status).toBe(404);
  await root.collections.delete("media");
  const stored = await storedKeys("");
  expect(stored.length).toBeGreaterThan(0);
  // They stay for as long as a restorable point may name them.
  await notedAsDropped(stored);
});
