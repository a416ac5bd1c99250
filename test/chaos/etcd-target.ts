import { z } from "zod";
import { openEtcdStore } from "../../control/etcd/etcd-store.ts";
import { ensureEtcd } from "../../scripts/etcd-server.ts";
import { Proxy } from "./proxy.ts";
import type { ChaosTarget } from "./target.ts";

/** Real etcd servers behind proxies for what they say to one another, and a store of ours for each. */
export async function startEtcdTarget(count: number): Promise<ChaosTarget | { skip: string }> {
  const proxies = new Map<string, Proxy>();
  const etcd = await ensureEtcd(count, async (name, peerUrl) => {
    const port = Number(new URL(peerUrl).port);
    const proxy = await Proxy.start(() => port);
    proxies.set(name, proxy);
    return `http://127.0.0.1:${proxy.port}`;
  });
  if ("skip" in etcd) return etcd;
  const { servers } = etcd;
  const urls = servers.map((server) => server.url);
  const onFailure = (error: Error): void => {
    throw error;
  };
  const stores = await Promise.all(
    urls.map((url, i) => {
      // Each prefers another server.
      const order = [...urls.slice(i), ...urls.slice(0, i)].join(",");
      return openEtcdStore({ urls: order, prefix: "chaos", id: `s${i}`, url, onFailure });
    }),
  );
  const of = (name: string) => servers.find((server) => server.name === name)!;
  return {
    names: servers.map((server) => server.name),
    stores,
    async leader() {
      for (const { url, name } of servers) {
        const status = await fetch(`${url}/v3/maintenance/status`, {
          method: "POST",
          body: "{}",
          signal: AbortSignal.timeout(200),
        }).then(
          async (response) => statusSchema.safeParse(await response.json()).data,
          () => undefined,
        );
        if (status !== undefined && status.leader === status.header.member_id) return name;
      }
      return undefined;
    },
    signal: (name, signal) => of(name).kill(signal),
    start: (name) => of(name).start(),
    cut: (name, how) => proxies.get(name)?.cut("", how),
    heal() {
      for (const proxy of proxies.values()) proxy.heal();
    },
    describe: () =>
      Promise.all(
        servers.map(({ url, name }) =>
          fetch(`${url}/v3/maintenance/status`, {
            method: "POST",
            body: "{}",
            signal: AbortSignal.timeout(1_000),
          }).then(async (response) => `${name}: ${await response.text()}`, String),
        ),
      ),
    async close() {
      await Promise.race([Promise.all(stores.map((store) => store.close())), Bun.sleep(5_000)]);
      await etcd.stop();
      for (const proxy of proxies.values()) proxy.close();
    },
  };
}

const statusSchema = z.object({ leader: z.string(), header: z.object({ member_id: z.string() }) });
