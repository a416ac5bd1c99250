import { expect, test } from "bun:test";
import { EtcdClient } from "./client.ts";
import { Layout } from "./layout.ts";
import { Origin } from "./origin.ts";
import { Transactions } from "./transactions.ts";
import { toBase64 } from "./wire.ts";

test("a deletion that another one overtook is decided again: its own compares held, so it is not refused", async () => {
  const layout = new Layout("test");
  const row = { key: layout.row("k"), value: toBase64("1"), mod_revision: "4" };
  const revision = { key: layout.revision, mod_revision: "4" };
  const none = { response_range: {} };
  const range = (kv: unknown) => ({ response_range: { kvs: [kv] } });
  const answers = [
    // It is there ...
    { succeeded: true, responses: [range(row), range(revision)] },
    // ... and then it is not, which only the compare that the engine added says.
    { succeeded: false, responses: [none, none, range({ ...revision, mod_revision: "5" })] },
    { succeeded: true, responses: [none, range({ ...revision, mod_revision: "5" })] },
    // The note.
    { succeeded: true, responses: [{}] },
  ];
  const asked: string[] = [];
  const fetch = ((url: string) => {
    const { pathname } = new URL(url);
    asked.push(pathname);
    if (pathname === "/v3/lease/grant") return Promise.resolve(Response.json({ ID: "7", TTL: "60" }));
    return Promise.resolve(Response.json({ header: { revision: "9" }, ...answers.shift() }));
  }) as unknown as typeof globalThis.fetch;
  const client = new EtcdClient({ urls: "http://etcd", fetch });
  const transactions = new Transactions(client, layout, new Origin(layout.origin, 0, 0), () => 0);
  const command = { id: "i", cmp: [], then: [{ key: "k", text: null }] };
  expect(await transactions.apply(command, undefined)).toEqual({ ok: true, rev: 5 });
  expect(asked.filter((path) => path === "/v3/kv/txn")).toHaveLength(4);
});
