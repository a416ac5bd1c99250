import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { extract } from "tar-stream";
import PocketBase from "pocketbase";
import { AUXILIARY_DB } from "../../shared/ids.ts";
import { storageKey } from "../../shared/objects/layout.ts";
import { parseKeyring } from "../../shared/protocol/keys.ts";
import { signTicket } from "../../shared/protocol/ticket.ts";
import { SUPERUSER, type TestApi, startTestApi } from "../app-testing.ts";
import type { TenantRequest } from "../http/contract.ts";
import { faultyStore } from "../objects/faults.ts";
import type { Tenant } from "../tenant/contract.ts";
import { codeOf } from "../tenant/test-world.ts";
import { createPlatformApp } from "./app.ts";
import { Exporter } from "./export-tenant.ts";

let api: TestApi;
let root: PocketBase;
const directory = mkdtempSync(join(tmpdir(), "export-test-"));
const temporary = mkdtempSync(join(tmpdir(), "export-temporary-"));

beforeAll(async () => {
  api = await startTestApi();
  root = new PocketBase(api.url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  for (const name of ["left", "right"]) {
    const fields = [
      { name: "title", type: "text" },
      { name: "file", type: "file", maxSelect: 1 },
    ];
    await root.collections.create({ name, type: "base", fields });
  }
});
afterAll(async () => {
  await api.close();
  for (const path of [directory, temporary]) rmSync(path, { recursive: true, force: true });
});

function asked(query = "", tenant: Tenant = api.tenant, signal?: AbortSignal): TenantRequest {
  const request = new Request(
    `http://acme.localhost/_manybase/export${query}`,
    signal === undefined ? {} : { signal },
  );
  const seen = tenant.observe();
  return { request, tenant, seen, clientIp: "127.0.0.1", origin: "http://acme.localhost", requestId: "test" };
}

async function unpack(body: ReadableStream<Uint8Array> | null): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const tar = extract();
  Readable.fromWeb(body as never).pipe(tar);
  for await (const entry of tar) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    found.set(entry.header.name, Buffer.concat(chunks));
  }
  return found;
}

function opened(entries: ReadonlyMap<string, Buffer>, name = "data.db"): Database {
  const path = join(directory, `${crypto.randomUUID()}.db`);
  writeFileSync(path, entries.get(name) ?? "");
  return new Database(path);
}

const exporter = new Exporter({ temporary });

describe("an export", () => {
  test("is a data directory: databases as of one commit, uploads, no thumbs, nothing of the platform's own", async () => {
    const kept = await root.collection("left").create({ title: "a", file: new File(["content"], "n.txt") });
    const name = String(kept["file"]);
    const thumb = storageKey(api.tenant.id, kept.collectionId, kept.id, `thumbs_${name}/10x10_${name}`);
    await api.tenant.objects.put(thumb, new TextEncoder().encode("thumb"));
    await api.tenant.data.write(api.tenant.observe(), (tx) => {
      tx.exec("CREATE TABLE _mb_secrets (secret TEXT); INSERT INTO _mb_secrets VALUES ('tell-nobody-this')");
    });
    const context = asked();
    const response = await exporter.export(context);
    expect(response.headers.get("content-disposition")).toBe('attachment; filename="test.tar"');
    await context.seen.settled();
    expect(context.seen.headers()["x-durable"]).toBe("1");
    const entries = await unpack(response.body);
    const stored = `storage/${kept.collectionId}/${kept.id}/${name}`;
    expect([...entries.keys()]).toEqual(["data.db", stored, `${stored}.attrs`]);
    expect(entries.get(stored)?.toString()).toBe("content");
    // Without these PocketBase serves the file as a download of unknown type.
    expect(JSON.parse(entries.get(`${stored}.attrs`)?.toString() ?? "")).toEqual({
      "user.cache_control": "",
      "user.content_disposition": "",
      "user.content_encoding": "",
      "user.content_language": "",
      "user.content_type": "text/plain; charset=utf-8",
      "user.metadata": null,
      md5: new Bun.CryptoHasher("md5").update("content").digest("base64"),
    });
    expect(entries.get("data.db")?.includes("tell-nobody-this")).toBe(false);
    using copy = opened(entries);
    expect(copy.query('SELECT title FROM "left"').values()).toEqual([["a"]]);
    expect(copy.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
    expect(copy.query("SELECT name FROM sqlite_schema WHERE name LIKE '!_mb%' ESCAPE '!'").values()).toEqual(
      [],
    );
    expect(
      api.tenant.data.read(api.tenant.observe(), (db) => db.values("SELECT * FROM _mb_secrets")),
    ).toEqual([["tell-nobody-this"]]);
    while (readdirSync(temporary).length > 0) await Bun.sleep(1);
  });

  test("has the request logs when asked, and refuses to guess", async () => {
    const logs = api.tenant.database(AUXILIARY_DB);
    await logs.write(api.tenant.observe(), (tx) => tx.exec("CREATE TABLE IF NOT EXISTS extra (x)"));
    expect([...(await unpack((await exporter.export(asked("?logs=1"))).body)).keys()]).toContain(
      "auxiliary.db",
    );
    expect([...(await unpack((await exporter.export(asked("?logs=0"))).body)).keys()]).not.toContain(
      "auxiliary.db",
    );
    expect(await codeOf(() => exporter.export(asked("?logs=yes")))).toBe("invalid_option");
  });

  test("shows no half of a transaction while others write, and does not stop them", async () => {
    let writes = 0;
    let writing = true;
    const writer = (async () => {
      for (; writing; writes++) {
        await api.tenant.data.write(api.tenant.observe(), (tx) => {
          for (const name of ["left", "right"]) {
            tx.run(`INSERT INTO "${name}" (title) VALUES (?)`, [`${writes} ${"x".repeat(500)}`]);
          }
        });
        await Bun.sleep(0);
      }
    })();
    for (let i = 0; i < 5; i++) {
      const before = writes;
      const entries = await unpack((await exporter.export(asked())).body);
      expect(writes).toBeGreaterThan(before);
      using copy = opened(entries);
      const count = (name: string): number =>
        Number(copy.query(`SELECT count(*) FROM "${name}" WHERE title LIKE '% x%'`).values()[0]?.[0]);
      expect(count("left")).toBe(count("right"));
      expect(count("left")).toBeGreaterThanOrEqual(before);
    }
    writing = false;
    await writer;
  });

  test("is one of few at a time, and leaves nothing behind when nobody reads it", async () => {
    const one = new Exporter({ temporary, parallelMax: 1 });
    const reading = new AbortController();
    const large = await root
      .collection("left")
      .create({ title: "large", file: new File(["x"], "large.bin") });
    // Larger than an upload may be, under the name that its record has.
    await api.tenant.objects.put(
      storageKey(api.tenant.id, large.collectionId, large.id, String(large["file"])),
      new Uint8Array(4 * 1024 * 1024),
    );
    const response = await one.export(asked("", api.tenant, reading.signal));
    expect(await codeOf(() => one.export(asked()))).toBe("overloaded");
    expect(readdirSync(temporary)).toHaveLength(1);
    reading.abort(new Error("gone"));
    await expect(new Response(response.body as never).arrayBuffer()).rejects.toBeDefined();
    while (readdirSync(temporary).length > 0) await Bun.sleep(1);
    expect((await unpack((await one.export(asked())).body)).has("data.db")).toBe(true);
  });

  test("that breaks is no whole tar, and one that cannot begin says why", async () => {
    const store = faultyStore(api.tenant.objects, (operation, key) =>
      operation === "get" && key.includes("large_") ? { kind: "failBefore" } : undefined,
    );
    const tenant = new Proxy(api.tenant, {
      get(target, name) {
        if (name === "objects") return store;
        const value = Reflect.get(target, name, target) as unknown;
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
    const { body } = await exporter.export(asked("", tenant));
    await expect(new Response(body as never).arrayBuffer()).rejects.toBeDefined();
    const nowhere = new Exporter({ temporary: join(temporary, "missing"), parallelMax: 1 });
    for (let i = 0; i < 2; i++)
      await expect(nowhere.export(asked())).rejects.toMatchObject({ code: "ENOENT" });
    while (readdirSync(temporary).length > 0) await Bun.sleep(1);
  });

  test("needs a ticket for just that", async () => {
    const keys = parseKeyring(`member-1:${"A".repeat(43)}`, "test key");
    const app = createPlatformApp({ keys, factors: [], temporary });
    const ask = (action: "export" | "import"): Promise<Response> => {
      const context = asked();
      const text = signTicket(keys, { tenant: api.tenant.id, action, expiresMs: Date.now() + 60_000 });
      context.request.headers.set("authorization", `Ticket ${text}`);
      return Promise.resolve(app(context));
    };
    expect(await codeOf(() => ask("import"))).toBe("unauthorized");
    expect((await unpack((await ask("export")).body)).has("data.db")).toBe(true);
  });
});
