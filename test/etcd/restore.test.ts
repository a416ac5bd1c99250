/** `manybase control restore` into an etcd: from the object store alone, on real servers. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { type TestControl, startTestControl, startTestWorker } from "../../control/control-fixture.ts";
import { metadataRowKey, tenantKey } from "../../control/domain/keys.ts";
import { openEtcdStore } from "../../control/etcd/etcd-store.ts";
import { EtcdFounding } from "../../control/etcd/found.ts";
import { openObjectStore } from "../../control/objects.ts";
import type { ReplicatedStore } from "../../control/store/contract.ts";
import { ensureEtcd } from "../../scripts/etcd-server.ts";
import { restoreControl } from "../../scripts/manybase/control-restore/restore.ts";
import type { SystemError } from "../../shared/errors.ts";
import type { Slug, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { routeSchema } from "../../shared/protocol/internal.ts";

const etcd = await ensureEtcd(1);

if (!("skip" in etcd)) {
  const { urls } = etcd;
  let prefixes = 0;
  let prefix = "";
  const failures: SystemError[] = [];
  const stores: ReplicatedStore[] = [];
  const open = async (id = "1"): Promise<ReplicatedStore> => {
    const onFailure = (error: SystemError): void => void failures.push(error);
    const store = await openEtcdStore({ urls, prefix, id, url: `http://${id}`, onFailure });
    stores.push(store);
    return store;
  };
  const newPrefix = (): void => {
    prefix = `restore-${++prefixes}`;
  };
  const etcdctl = (path: string, body: unknown): Promise<Response> =>
    fetch(`${urls}${path}`, { method: "POST", body: JSON.stringify(body) });
  const removeAll = (): Promise<Response> =>
    etcdctl("/v3/kv/deleterange", { key: btoa(`${prefix}/`), range_end: btoa(`${prefix}0`) });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    failures.length = 0;
  });
  afterAll(() => etcd.stop());

  test("a lost control comes back on etcd, with tenants, with revisions and numbers above all before; and again on the same etcd", async () => {
    newPrefix();
    let running = await startTestControl();
    const { directory } = running;
    const onEtcd = (): Promise<TestControl> => startTestControl(directory, {}, { openStore: () => open() });
    const restore = async () => {
      const target = new EtcdFounding(urls, prefix);
      const store = await openObjectStore(`file:${directory}/store`, {});
      const { signal } = new AbortController();
      try {
        return await restoreControl({ store, target, signal, nowMs: Date.now() });
      } finally {
        await store.close();
      }
    };
    try {
      const { body } = await running.cp("POST", "/tenants", { slug: "acme" });
      const id = body["id"] as TenantId;
      let worker = await startTestWorker(running);
      await running.gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug: "acme" });
      let before = running.control.table;
      for (let lives = 1; lives <= 2; lives++) {
        while (before.get(metadataRowKey(id)) === undefined) await Bun.sleep(5);
        const { incarnation } = worker;
        worker.isolate();
        await worker.kill();
        await running.stop();
        if (lives === 2) {
          await expect(restore()).rejects.toMatchObject({ code: "conflict" });
          await removeAll();
        }
        expect(await restore()).toMatchObject({ tenants: 1, orphans: [] });
        running = await onEtcd();
        const { table } = running.control;
        expect(table.revision).toBeGreaterThan(before.revision);
        expect(table.revision).toBeGreaterThan(limits.restoreRevisionsPerBlock);
        const restored = table.get(tenantKey(id));
        expect(restored?.slug).toBe("acme" as Slug);
        expect(restored?.epoch).toBeGreaterThanOrEqual(limits.restoreEpochMargin);
        // It is a store like any other: compares, reads, the stream of changes.
        expect((await running.cp("POST", "/tenants", { slug: `new-${lives}` })).status).toBe(201);
        expect((await running.cp("PATCH", "/tenants/acme", { region: "eu" })).status).toBe(200);
        worker = await startTestWorker(running);
        const route = await running.gateway.call("POST", "/v1/routes/resolve", routeSchema, { slug: "acme" });
        expect(route.revision).toBeGreaterThan(limits.restoreRevisionsPerBlock);
        expect(route.epoch).toBeGreaterThan(limits.restoreEpochMargin);
        expect(worker.incarnation).toBeGreaterThan(incarnation);
        before = table;
      }
      await worker.kill();
    } finally {
      await running.remove();
    }
  }, 60_000);

  const rows = (count: number, value: string): [string, unknown][] =>
    Array.from({ length: count }, (_, i) => [`k/${String(i).padStart(4, "0")}`, `${value}${i}`]);

  test("broken off anywhere nobody starts on it; run again it is whole, with nothing of the first try", async () => {
    newPrefix();
    for (const stopAt of [1, 2, 4]) {
      let writes = 0;
      const failing = (async (url: string, init: RequestInit) => {
        if (url.endsWith("/v3/kv/txn") && ++writes > stopAt) throw new Error("power is gone");
        return fetch(url, init);
      }) as typeof fetch;
      const broken = new EtcdFounding(urls, prefix, failing);
      await expect(broken.found(rows(450, "old"), 1)).rejects.toMatchObject({
        code: "control_state_unknown",
      });
      await expect(open()).rejects.toMatchObject({ code: "conflict" });
    }
    const target = new EtcdFounding(urls, prefix);
    await target.requireEmpty();
    await target.found(rows(230, "new"), 5_000_000_000);
    await expect(target.requireEmpty()).rejects.toMatchObject({ code: "conflict" });
    await expect(target.found([], 1)).rejects.toMatchObject({ code: "conflict" });
    const store = await open();
    const { kvs, rev } = await store.range("");
    expect(kvs.map(({ key, value }) => [key, value])).toEqual(rows(230, "new"));
    for (const { modRev } of kvs) {
      expect(modRev).toBeGreaterThan(5_000_000_000);
      expect(modRev).toBeLessThan(rev);
    }
    const [first] = kvs;
    const then = [{ kind: "put" as const, key: first!.key, value: 1 }];
    const cmp = [{ key: first!.key, modRev: first!.modRev }];
    const changed = await store.txn({ id: "t1", cmp, then });
    expect(changed).toEqual({ ok: true, rev: expect.any(Number) });
    expect(await store.txn({ id: "t1", cmp, then })).toEqual(changed);
    expect(await store.txn({ id: "t2", cmp, then })).toMatchObject({
      ok: false,
      rev: changed.rev,
      seen: [{ modRev: changed.rev }],
    });
  }, 30_000);

  test("a replica that is running when the state under it is replaced stops, and changes nothing any more", async () => {
    newPrefix();
    const store = await open();
    await store.txn({ id: "a", cmp: [], then: [{ kind: "put", key: "k", value: 1 }] });
    await removeAll();
    const target = new EtcdFounding(urls, prefix);
    // It writes its address now and then.
    while (
      await target.found(rows(3, "x"), 7_000_000_000).then(
        () => false,
        () => true,
      )
    )
      await removeAll();
    while (failures.length === 0) await Bun.sleep(5);
    expect(failures).toMatchObject([{ code: "control_rolled_back" }]);
    const write = store.txn({ id: "b", cmp: [], then: [{ kind: "put", key: "k", value: 2 }] });
    await expect(write).rejects.toMatchObject({ code: "control_rolled_back" });
    expect((await (await open("2")).range("")).kvs).toHaveLength(3);
  }, 30_000);
}
