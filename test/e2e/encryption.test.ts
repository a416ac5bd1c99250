import { afterAll, beforeAll, expect, test, setDefaultTimeout } from "bun:test";
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import PocketBase, { type RecordModel } from "pocketbase";
import sharp from "sharp";
import { startAllInOne, temporaryDirectory } from "./all-in-one.ts";
import { type Running, bin, eventually, finish, killAll, run } from "./process.ts";

setDefaultTimeout(60_000);

/** Encrypted tenants on real processes and a real store, whose every byte is looked at. */
const data = temporaryDirectory();
const token = `mbo_${"t".repeat(40)}`;
const SECRET = "Ach wie gut, dass niemand weiss";
let controlUrl: string;
let gatewayUrl: string;
const workers = new Map<string, Running>();

async function startWorker(name: string): Promise<Running> {
  const places = ["--data", data, "--worker-data", join(data, name), "--listen", "127.0.0.1:0"];
  const worker = run([bin("bun"), "worker/main.ts", ...places, "--control", controlUrl]);
  await worker.line("worker ready on ");
  workers.set(name, worker);
  return worker;
}

const manybase = async (...words: string[]): Promise<unknown> => {
  const { status, output, errors } = await finish(
    [bin("bun"), "run", "--silent", "manybase", ...words, "--json", "--data", data],
    { MANYBASE_CONTROL: gatewayUrl.replace("127.0.0.1", "admin.localhost"), MANYBASE_TOKEN: token },
  );
  if (status !== 0) throw new Error(errors);
  return JSON.parse(output);
};

async function client(slug: string): Promise<PocketBase> {
  const made = new PocketBase(gatewayUrl.replace("127.0.0.1", `${slug}.localhost`));
  made.autoCancellation(false);
  await made.collection("_superusers").authWithPassword("root@example.com", "root-password-1");
  return made;
}

function stored(): { path: string; bytes: Buffer }[] {
  const root = join(data, "store");
  return (readdirSync(root, { recursive: true }) as string[])
    .map((name) => join(root, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => ({ path, bytes: readFileSync(path) }));
}

const telling = (text: string): string[] =>
  stored()
    .filter(({ bytes }) => bytes.includes(text))
    .map(({ path }) => path);

async function fill(
  slug: string,
  ...options: string[]
): Promise<{ id: string; record: RecordModel; pb: PocketBase }> {
  const { id } = (await manybase("tenants", "create", slug, ...options)) as { id: string };
  await manybase("tenants", "superuser", slug, "root@example.com", "root-password-1");
  const pb = await client(slug);
  const fields = [
    { name: "text", type: "text" },
    { name: "paper", type: "file", maxSelect: 1 },
    { name: "image", type: "file", maxSelect: 1, thumbs: ["10x10"] },
  ];
  await pb.collections.create({ name: "notes", type: "base", listRule: "", viewRule: "", fields });
  const image = await sharp({ create: { width: 64, height: 64, channels: 3, background: "#f00" } })
    .png()
    .withExif({ IFD0: { Copyright: SECRET } })
    .toBuffer();
  const record = await pb.collection("notes").create({
    text: `${SECRET} (${slug})`,
    paper: new File([`${SECRET} in a file of ${slug}`], "paper.txt"),
    image: new File([new Uint8Array(image)], "image.png"),
  });
  const thumb = await fetch(pb.files.getURL(record, String(record["image"]), { thumb: "10x10" }));
  expect(thumb.headers.get("content-type")).toContain("image/");
  expect((await thumb.arrayBuffer()).byteLength).toBeGreaterThan(50);
  await pb.backups.create(`${slug}.zip`);
  return { id, record, pb };
}

async function readBack(slug: string, record: RecordModel): Promise<void> {
  const pb = await client(slug);
  expect((await pb.collection("notes").getOne(record.id))["text"]).toBe(`${SECRET} (${slug})`);
  const paper = await fetch(pb.files.getURL(record, String(record["paper"])));
  expect(await paper.text()).toBe(`${SECRET} in a file of ${slug}`);
  const part = await fetch(pb.files.getURL(record, String(record["paper"])), {
    headers: { range: "bytes=4-6" },
  });
  expect([part.status, await part.text()]).toEqual([206, "wie"]);
  expect((await pb.backups.getFullList()).map(({ key }) => key)).toEqual([`${slug}.zip`]);
}

beforeAll(async () => {
  const keys = await finish([bin("bun"), "run", "--silent", "manybase", "keys", "new", "--data", data]);
  expect(keys.errors).toBe("");
  const control = run([bin("bun"), "run", "control", "--data", data, "--listen", "127.0.0.1:0"], {
    MANYBASE_OPERATOR_TOKEN: token,
  });
  controlUrl = await control.line("control ready on ");
  await startWorker("worker-a");
  const gateway = run([bin("deno"), "run", "gateway", "--listen", "127.0.0.1:0", "--control", controlUrl], {
    MANYBASE_GATEWAY_KEY: await Bun.file(join(data, "keys/gateway.key")).text(),
  });
  gatewayUrl = await gateway.line("gateway ready on ");
});

afterAll(async () => {
  await killAll();
  rmSync(data, { recursive: true, force: true });
});

let made: Awaited<ReturnType<typeof fill>>;

test("records, files, thumbs and backups of an encrypted tenant can be read nowhere in the store", async () => {
  const open = await fill("open");
  expect(telling(SECRET).length).toBeGreaterThan(2);
  await manybase("tenants", "evict", "open");
  await manybase("tenants", "delete", "open", "--retain-seconds", "0");
  await eventually(() => {
    expect(telling(SECRET).filter((path) => !path.includes("/workers"))).toEqual([]);
    expect(open.id).toHaveLength(15);
  });
  const before = new Set(telling(SECRET));
  made = await fill("acme", "--encrypted");
  expect(telling(SECRET).filter((path) => !before.has(path))).toEqual([]);
  const own = stored().filter(({ path }) => path.includes(made.id.slice(4)) && !path.includes("/workers"));
  const sealed = own
    .filter(({ bytes }) => bytes.subarray(0, 4).toString() === "MBOE")
    .map(({ path }) => path);
  for (const part of ["paper", "image", "thumbs_", "acme.zip"]) {
    expect(sealed.some((path) => path.includes(part))).toBe(true);
  }
  expect(((await manybase("tenants", "get", "acme")) as { encrypted?: boolean }).encrypted).toBe(true);
  await readBack("acme", made.record);
});

test("it survives kill -9 of its worker, and moves", async () => {
  await startWorker("worker-b");
  workers.get("worker-a")?.kill("SIGKILL");
  await eventually(() => readBack("acme", made.record), 30_000);
  await startWorker("worker-c");
  await manybase("tenants", "move", "acme");
  await readBack("acme", made.record);
  await manybase("tenants", "evict", "acme");
  expect(telling("niemand").filter((path) => path.includes(made.id.slice(4)))).toEqual([]);
  expect(stored().some(({ path }) => path.includes("ltxe"))).toBe(true);
  await readBack("acme", made.record);
});

test("the key-encryption key is rotated while it serves, and the old one removed", async () => {
  const file = join(data, "keys", "tenant.keys");
  const added = (await manybase("keys", "new")) as { key: string };
  const report = (await manybase("keys", "rotate")) as { rewrapped: number; key: string };
  expect(report).toMatchObject({ rewrapped: 1, key: added.key });
  expect(await manybase("keys", "list")).toEqual([{ key: added.key, tenants: 1, keys: 1 }]);
  writeFileSync(file, `${readFileSync(file, "utf8").split("\n")[0]}\n`);
  await readBack("acme", made.record);
  for (const name of ["worker-b", "worker-c"]) {
    workers.get(name)?.kill("SIGTERM");
    await workers.get(name)?.exited;
  }
  await startWorker("worker-d");
  await eventually(() => readBack("acme", made.record), 30_000);
});

test("a tenant whose key object is gone is refused with a reason, and nothing is made", async () => {
  const { id } = (await manybase("tenants", "create", "lost", "--encrypted")) as { id: string };
  await manybase("tenants", "superuser", "lost", "root@example.com", "root-password-1");
  await manybase("tenants", "evict", "lost");
  const key = (): string[] =>
    stored().flatMap(({ path }) =>
      path.includes(id.slice(4)) && path.includes("00000001") && path.includes("keys") ? [path] : [],
    );
  const [path = ""] = await eventually(() => {
    expect(key()).toHaveLength(1);
    return key();
  });
  rmSync(path);
  const answer = await fetch(`${gatewayUrl.replace("127.0.0.1", "lost.localhost")}/api/health`);
  expect(answer.status).toBe(500);
  expect(await answer.text()).toContain("data_key_missing");
  expect(key()).toEqual([]);
});

test("a purge takes the data key, and with it what was copied away", async () => {
  await manybase("tenants", "delete", "acme", "--retain-seconds", "0");
  await eventually(() => {
    expect(
      stored().filter(({ path }) => path.includes(made.id.slice(4)) && !path.includes("metadata")),
    ).toEqual([]);
  });
  expect(telling(SECRET).filter((path) => !path.includes("/workers"))).toEqual([]);
});

test("the all-in-one makes a keyring of its own, and may encrypt all tenants", async () => {
  const own = temporaryDirectory();
  const all = await startAllInOne(own, [], { MANYBASE_ENCRYPT_TENANTS: "true" });
  expect(statSync(join(own, "keys", "tenant.keys")).mode & 0o777).toBe(0o600);
  for (const [slug, ...options] of [["one"], ["two", "--encrypted=false"]] as const) {
    expect((await all.manybase("tenants", "create", slug, ...options)).errors).toBe("");
    expect(
      (await fetch(`http://127.0.0.1:${all.port}/api/health`, { headers: { host: `${slug}.localhost` } }))
        .status,
    ).toBe(200);
  }
  const listed = JSON.parse((await all.manybase("keys", "list", "--json")).output) as unknown[];
  expect(listed).toEqual([{ key: expect.stringMatching(/^local:kek-/), tenants: 1, keys: 1 }]);
  all.process.kill("SIGTERM");
  await all.process.exited;
  rmSync(own, { recursive: true, force: true });
});
