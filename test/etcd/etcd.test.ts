import { afterAll, expect, test } from "bun:test";
import { openEtcdStore } from "../../control/etcd/etcd-store.ts";
import { describeReplicatedStore, put, write } from "../../control/store/contract.suite.ts";
import type { Change } from "../../control/store/contract.ts";
import { ensureEtcd } from "../../scripts/etcd-server.ts";
import { limits } from "../../shared/limits.ts";

const etcd = await ensureEtcd(1);
let prefixes = 0;

if (!("skip" in etcd)) {
  const { urls, servers } = etcd;
  afterAll(() => etcd.stop());
  const onFailure = (error: Error): void => {
    throw error;
  };
  const open = (prefix: string, id = "1") =>
    openEtcdStore({ urls, prefix, id, url: `http://${id}`, onFailure });

  describeReplicatedStore("etcd", async () => {
    const prefix = `test-${++prefixes}`;
    let store = await open(prefix);
    return {
      store,
      leads: true,
      async restart() {
        await store.close();
        store = await open(prefix);
        return store;
      },
      dispose: () => store.close(),
    };
  });

  describeReplicatedStore("etcd, beside a replica that leads", async () => {
    const prefix = `test-${++prefixes}`;
    const leader = await open(prefix, "1");
    let store = await open(prefix, "2");
    return {
      store,
      leads: false,
      async restart() {
        await store.close();
        store = await open(prefix, "2");
        return store;
      },
      async dispose() {
        await store.close();
        await leader.close();
      },
    };
  });

  test("etcd: when the leader leaves, another replica leads at once, and says where", async () => {
    const prefix = `test-${++prefixes}`;
    const [first, second] = [await open(prefix, "a"), await open(prefix, "b")];
    expect((await second.members()).map(({ id, url, role }) => [id, url, role])).toEqual([
      ["a", "http://a", "leader"],
      ["b", "http://b", "follower"],
    ]);
    const stop = new AbortController();
    const states: { leader: boolean; term: number }[] = [];
    const told = (async () => {
      for await (const state of second.leadership(stop.signal)) {
        states.push(state);
        if (state.leader) break;
      }
    })();
    const startedMs = performance.now();
    await first.close();
    await told;
    expect(performance.now() - startedMs).toBeLessThan(limits.etcdLeaseSeconds * 1_000);
    expect(states[0]?.leader).toBe(false);
    expect(states.at(-1)!.term).toBeGreaterThan(states[0]!.term);
    await second.close();
  });

  test("etcd: a watch goes on over the death of the server", async () => {
    const store = await open(`test-${++prefixes}`);
    const start = await write(store, put("k", 0));
    const stop = new AbortController();
    const seen: Change[][] = [];
    const watching = (async () => {
      for await (const event of store.watch("k", start, stop.signal)) {
        if (Array.isArray(event)) seen.push(event);
        if (seen.length === 2) break;
      }
    })();
    await write(store, put("k", 1));
    const [server] = servers;
    server!.kill("SIGKILL");
    const refused: unknown = await write(store, put("k", 9)).catch((error: unknown) => error);
    expect(["control_no_leader", "control_state_unknown"]).toContain((refused as { code: string }).code);
    await server!.start();
    await write(store, put("k", 2));
    await watching;
    expect(seen.map((group) => group.map((change) => change.kind === "put" && change.kv.value))).toEqual([
      [1],
      [2],
    ]);
    stop.abort();
    await store.close();
  }, 30_000);
}
