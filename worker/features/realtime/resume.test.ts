import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import PocketBase from "pocketbase";
import { limits } from "../../../shared/limits.ts";
import { SUPERUSER } from "../../app-testing.ts";
import { attach, createCrons, createTenantApp } from "../../app.ts";
import { upsertSuperuser } from "../../auth/superuser.ts";
import { leave } from "../../http/leave.ts";
import { bootstrap } from "../../model/bootstrap.ts";
import { modelOf } from "../../model/model.ts";
import { Network } from "../../outbound/network.ts";
import { SQL_FUNCTIONS } from "../../query/functions.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { type TestHost, TestWorld, gatedStore } from "../../tenant/test-world.ts";
import type { TenantId } from "../../../shared/ids.ts";
import { realtimeHub } from "./hub.ts";
import { Journal } from "./journal.ts";

/** One tenant whose owner changes, behind one address. */
let world: TestWorld;
let id: TenantId;
let host: TestHost;
let tenant: Tenant;
let server: ReturnType<typeof Bun.serve>;
let url: string;
let root: PocketBase;

const newHost = (store = world.store): TestHost => {
  const crons = createCrons();
  return world.host({
    store,
    sqlFunctions: SQL_FUNCTIONS,
    bootstrap: async (loaded) => {
      await bootstrap(loaded);
      attach(loaded, crons);
    },
  });
};

beforeEach(async () => {
  world = await TestWorld.open();
  host = newHost();
  id = world.create(host);
  tenant = await world.at(host, id);
  await upsertSuperuser(tenant, tenant.observe(), SUPERUSER.email, SUPERUSER.password);
  const app = createTenantApp({ network: new Network({ allowPrivate: true }) });
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const context = {
        ...{ request, tenant, seen: tenant.observe() },
        ...{ clientIp: "127.0.0.1", origin: url, requestId: "test" },
      };
      return leave(context, await app(context));
    },
  });
  url = `http://127.0.0.1:${server.port}`;
  root = new PocketBase(url);
  root.autoCancellation(false);
  await root.collection("_superusers").authWithPassword(SUPERUSER.email, SUPERUSER.password);
  await root.collections.create({
    ...{ name: "notes", type: "base", listRule: "secret = false" },
    fields: [
      { name: "text", type: "text" },
      { name: "secret", type: "bool" },
    ],
  });
});
afterEach(async () => {
  await server.stop(true);
  world.close();
});

const notes = () => root.collection("notes");

interface Event {
  id: string;
  event: string;
  data: string;
}

class Stream {
  readonly events: Event[] = [];
  readonly ended: Promise<void>;
  clientId = "";
  readonly #abort = new AbortController();
  readonly #hello = Promise.withResolvers<void>();

  constructor(path: string, headers: Record<string, string>) {
    this.ended = this.#read(path, headers).catch(() => undefined);
  }

  static async open(path = "/api/realtime", headers: Record<string, string> = {}): Promise<Stream> {
    const stream = new Stream(path, headers);
    await stream.#hello.promise;
    return stream;
  }

  /** As an EventSource comes again. */
  static again(before: Stream): Promise<Stream> {
    return Stream.open("/api/realtime", { "last-event-id": before.lastId });
  }

  get lastId(): string {
    return this.events.at(-1)?.id ?? this.clientId;
  }

  get texts(): string[] {
    return this.events.map(({ event, data }) => {
      if (event === "PB_RESUME") return data;
      const { action, record } = JSON.parse(data) as { action: string; record: { text: string } };
      return `${action} ${record.text}`;
    });
  }

  close(): void {
    this.#abort.abort();
  }

  async subscribe(...subscriptions: string[]): Promise<void> {
    const answer = await fetch(`${url}/api/realtime`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ clientId: this.clientId, subscriptions }),
    });
    expect(answer.status).toBe(204);
  }

  async has(count: number): Promise<void> {
    const untilMs = performance.now() + 3_000;
    while (this.events.length < count && performance.now() < untilMs) await Bun.sleep(2);
  }

  async #read(path: string, headers: Record<string, string>): Promise<void> {
    const { body } = await fetch(url + path, { headers, signal: this.#abort.signal });
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      const messages = text.split("\n\n");
      text = messages.pop() ?? "";
      for (const message of messages) {
        const value = (name: string): string => new RegExp(`^${name}:(.*)$`, "m").exec(message)?.[1] ?? "";
        const event = { id: value("id"), event: value("event"), data: value("data") };
        if (event.event === "PB_CONNECT") {
          this.clientId = event.id;
          this.#hello.resolve();
        } else this.events.push(event);
      }
    }
  }
}

/** All changes that a client may see, while it comes again. */
async function missed(): Promise<string> {
  const first = await Stream.open();
  await first.subscribe("notes/*");
  await notes().create({ text: "seen" });
  await first.has(1);
  expect(first.texts).toEqual(["create seen"]);
  first.close();
  await first.ended;
  return first.lastId;
}

const comeAgain = async (lastEventId: string): Promise<Stream> => {
  const stream = await Stream.open("/api/realtime", { "last-event-id": lastEventId });
  await stream.subscribe("notes/*");
  return stream;
};

describe("a client that comes again", () => {
  test("is told what it missed, in order, once, by the rules as of now, and then goes on live", async () => {
    const last = await missed();
    const one = await notes().create({ text: "one" });
    const two = await notes().create({ text: "two" });
    await notes().create({ text: "never", secret: true });
    const hidden = await notes().create({ text: "hidden later" });
    await notes().update(hidden.id, { secret: true });
    await notes().update(one.id, { text: "one!" });
    await notes().delete(two.id);
    const gone = await notes().create({ text: "unseen", secret: true });
    await notes().delete(gone.id);
    const stream = await comeAgain(last);
    await notes().create({ text: "live" });
    await stream.has(4);
    expect(stream.texts).toEqual(["create one!", "update one!", "delete two", "create live"]);
    const ids = stream.events.map((event) => event.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(await notes().getFullList({ filter: `text = 'two'` })).toEqual([]);
    stream.close();
    await stream.ended;
    // From the middle of what was replayed, by the query parameter.
    const third = await Stream.open(`/api/realtime?lastEventId=${ids[1]}`);
    await third.subscribe("notes/*");
    await third.has(2);
    expect(third.texts).toEqual(["delete two", "create live"]);
    third.close();
  });

  test("a client that does not say where it was gets only what is new", async () => {
    await missed();
    await notes().create({ text: "before" });
    const stream = await Stream.open();
    await stream.subscribe("notes/*");
    await notes().create({ text: "new" });
    await stream.has(1);
    expect(stream.texts).toEqual(["create new"]);
    stream.close();
  });

  test("one that heard of a change by one of its topics only hears of it by all of them again", async () => {
    const first = await Stream.open();
    const { id: note } = await notes().create({ text: "new" });
    await tenant.data.write(tenant.observe(), (tx) =>
      tx.run("UPDATE _collections SET viewRule = '' WHERE name = 'notes'"),
    );
    modelOf(tenant).forgetSchema();
    await first.subscribe("notes/*", `notes/${note}`);
    await notes().update(note, { text: "changed" });
    await first.has(2);
    first.close();
    const between = first.events[0]?.id ?? "";
    expect(first.events.map((event) => event.id === between)).toEqual([true, false]);
    const again = await Stream.open("/api/realtime", { "last-event-id": between });
    await again.subscribe("notes/*", `notes/${note}`);
    await again.has(2);
    expect(again.events.slice(-2).map(({ event }) => event)).toEqual(first.events.map(({ event }) => event));
    again.close();
  });

  test("of two subscriptions at once the later one counts", async () => {
    const last = await missed();
    await notes().delete((await notes().create({ text: "gone" })).id);
    const { promise: isFree, resolve: free } = Promise.withResolvers<void>();
    const holding = tenant.data.write(tenant.observe(), () => isFree);
    const stream = await Stream.open("/api/realtime", { "last-event-id": last });
    const first = stream.subscribe("missing/*");
    const client = tenant.slot(realtimeHub).find(stream.clientId);
    while (client?.topics.length !== 1) await Bun.sleep(1);
    const second = stream.subscribe("notes/*");
    const early = await Promise.race([second.then(() => true), Bun.sleep(50)]);
    free();
    await Promise.all([holding, first, second]);
    expect(early).toBeUndefined();
    await notes().create({ text: "live" });
    await stream.has(1);
    expect(stream.texts).toEqual(["create live"]);
    stream.close();
  });

  test.each(["garbage", "0".repeat(40), `${"a".repeat(31)}${"z".repeat(9)}`])(
    "%p: it is told that something may be missing",
    async (lastEventId) => {
      await missed();
      const stream = await comeAgain(lastEventId);
      await stream.has(1);
      expect(stream.texts).toEqual([`{"complete":false}`]);
      stream.close();
    },
  );

  test("after more changes than are told at once it is told that something is missing", async () => {
    const last = await missed();
    await tenant.data.write(tenant.observe(), (tx) => {
      for (let n = 1; n <= limits.realtimeReplayMax + 1; n++) {
        tx.run(
          "INSERT INTO _mb_changes VALUES ((SELECT max(position) FROM _mb_changes) + 1, 'update', 'x', 'y', NULL)",
        );
      }
    });
    const stream = await comeAgain(last);
    await stream.has(1);
    expect(stream.texts).toEqual([`{"complete":false}`]);
    stream.close();
  });

  test("after a restore it is told that something may be missing", async () => {
    const last = await missed();
    await root.backups.create("b.zip");
    await root.backups.restore("b.zip");
    const stream = await comeAgain(last);
    await stream.has(1);
    expect(stream.texts).toEqual([`{"complete":false}`]);
    stream.close();
  });
});

describe("while the tenant's owner changes", () => {
  const move = async (next = newHost()): Promise<void> => {
    world.give(id, await host.release(id), next);
    host = next;
    tenant = await world.at(host, id);
  };
  const failOver = async (): Promise<void> => {
    const next = newHost();
    const before = host;
    before.abandon();
    await world.takeOver(before, next);
    host = next;
    tenant = await world.at(host, id);
  };

  test("after a restore the next owner does not believe in what was not noted since", async () => {
    const last = await missed();
    await root.backups.create("b.zip");
    await root.backups.restore("b.zip");
    await notes().create({ text: "not noted" });
    await move();
    const stream = await comeAgain(last);
    await stream.has(1);
    expect(stream.texts).toEqual([`{"complete":false}`]);
    stream.close();
  });

  test("what is committed meanwhile comes after what was missed, though all of it becomes durable at once", async () => {
    const gate = gatedStore(world.store);
    await move(newHost(gate.store));
    const last = await missed();
    gate.close();
    const writes = [notes().create({ text: "in flight" })];
    await Bun.sleep(30);
    writes.push(notes().create({ text: "missed" }));
    await Bun.sleep(30);
    const stream = await Stream.open("/api/realtime", { "last-event-id": last });
    const subscribed = stream.subscribe("notes/*");
    await Bun.sleep(30);
    writes.push(notes().create({ text: "meanwhile" }));
    await Bun.sleep(30);
    expect(stream.texts).toEqual([]);
    gate.open();
    await Promise.all([...writes, subscribed]);
    await stream.has(3);
    expect(stream.texts).toEqual(["create in flight", "create missed", "create meanwhile"]);
    stream.close();
  });

  test("nothing is told before it is durable", async () => {
    const gate = gatedStore(world.store);
    await move(newHost(gate.store));
    const { id: old } = await notes().create({ text: "old" });
    const stream = await Stream.open();
    await stream.subscribe("notes/*");
    gate.close();
    const writes = [notes().create({ text: "new" }), notes().delete(old)];
    await Bun.sleep(50);
    expect(stream.texts).toEqual([]);
    gate.open();
    await Promise.all(writes);
    await stream.has(2);
    expect(stream.texts.toSorted()).toEqual(["create new", "delete old"]);
    stream.close();
  });

  test.each([
    ["a move", () => move()],
    ["a failover", failOver],
  ])("%s: each change is seen exactly once", async (_, change) => {
    let stream = await Stream.open();
    await stream.subscribe("notes/*");
    const seen: string[] = [];
    const written: string[] = [];
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 5; n++) {
        const text = `${round} ${n}`;
        await notes().create({ text });
        written.push(`create ${text}`);
      }
      await change();
      await stream.ended;
      // Before the client is back, and nothing else was asked of the new owner.
      await notes().create({ text: `${round} between` });
      written.push(`create ${round} between`);
      seen.push(...stream.texts);
      stream = await Stream.again(stream);
      await stream.subscribe("notes/*");
    }
    await notes().create({ text: "last" });
    written.push("create last");
    await stream.has(2);
    seen.push(...stream.texts);
    expect(seen).toEqual(written);
    stream.close();
  });
});

test("a tenant without realtime clients notes nothing", async () => {
  await notes().create({ text: "quiet" });
  const tables = tenant.data.read(tenant.observe(), (db) =>
    db.values("SELECT name FROM sqlite_schema WHERE name LIKE '\\_mb\\_changes%' ESCAPE '\\'"),
  );
  expect(tables).toEqual([]);
});

test("what is noted is bounded, and what was pruned counts as missed", async () => {
  const early = await Stream.open();
  const floor = early.lastId;
  early.close();
  const last = await missed();
  const old = Date.now() * 1000 - limits.realtimeJournalMsMax * 2000;
  await tenant.data.write(tenant.observe(), (tx) =>
    tx.run("UPDATE _mb_changes SET position = position - ?", [limits.realtimeJournalMsMax * 2000]),
  );
  for (let n = 0; n < limits.realtimeJournalPruneEvery; n++) {
    await notes().create({ text: String(n) }, { requestKey: null });
  }
  const [first] = tenant.data.read(tenant.observe(), (db) =>
    db.values("SELECT min(position) FROM _mb_changes"),
  );
  expect(Number(first?.[0])).toBeGreaterThan(old);
  for (const gone of [last, floor]) {
    const stream = await comeAgain(gone);
    await stream.has(1);
    expect(stream.texts).toEqual([`{"complete":false}`]);
    stream.close();
  }
});

test("an owner notes changes longer than it has said, so that the next one may have a clock that is behind", async () => {
  let nowMs = Date.now();
  const journal = new Journal(tenant, () => nowMs);
  journal.keep();
  const untilMs = nowMs + limits.realtimeJournalActiveMs;
  const record = await notes().create({ text: "x" });
  const collection = modelOf(tenant).schema.find("notes");
  if (collection === undefined) throw new Error("no notes");
  const found = tenant.data.read(tenant.observe(), (db) => modelOf(tenant).find(db, collection, record.id));
  if (found === undefined) throw new Error("no note");
  const change = { action: "update", collection, record: found, before: found } as const;
  const note = () => tenant.data.write(tenant.observe(), (tx) => journal.note(tx, change, false));
  nowMs = untilMs + limits.clockSkewMsMax;
  expect(await note()).toBeGreaterThan(0);
  nowMs += 1;
  expect(await note()).toBe(0);
});
