import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../scripts/etcd-server.ts";
import { SystemError, type SystemErrorCode, parseErrorBody } from "../../shared/errors.ts";
import { base64Url } from "../../shared/protocol/mac.ts";
import type { Kv, Txn, TxnResult } from "../../control/store/contract.ts";
import type { Target } from "../simulation/linearizability/recording-client.ts";
import type { KvMemberConfig } from "./kv-member.ts";
import { Proxy } from "./proxy.ts";
import type { ChaosTarget } from "./target.ts";

const REQUEST_MS = 2_000;

interface Member {
  config: KvMemberConfig;
  proxy: Proxy;
  child: Bun.Subprocess<"ignore", "pipe", "inherit"> | undefined;
}

/** Real processes of the raft engine; what they say to one another goes through proxies. */
export async function startRaft(
  count: number,
  snapshotEvery = 200,
  proxied = true,
): Promise<ChaosTarget & { urls: string[] }> {
  const directory = await mkdtemp(join(tmpdir(), "manybase-chaos-"));
  const key = `chaos-1:${base64Url(crypto.getRandomValues(new Uint8Array(32)))}`;
  const names = Array.from({ length: count }, (_, i) => `m${i + 1}`);
  const ports = await freePorts(count);
  const proxies = await Promise.all(ports.map((port) => Proxy.start(() => port)));
  const founders = Object.fromEntries(
    names.map((name, i) => [name, `http://127.0.0.1:${proxied ? proxies[i]!.port : ports[i]}`]),
  );
  const members = new Map<string, Member>();
  for (const [i, id] of names.entries()) {
    const config = {
      id,
      directory: join(directory, id),
      port: ports[i]!,
      url: founders[id]!,
      founders,
      key,
      snapshotEvery,
    };
    members.set(id, { config, proxy: proxies[i]!, child: undefined });
  }
  const of = (name: string): Member => members.get(name)!;
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const target: ChaosTarget & { urls: string[] } = {
    names,
    urls,
    stores: urls.map(kvOver),
    async leader() {
      for (const url of urls) {
        const health = await fetch(`${url}/health`, { signal: AbortSignal.timeout(200) }).then(
          async (response) => (await response.json()) as { leader?: string; self?: string },
          () => undefined,
        );
        if (health?.leader !== undefined && health.leader === health.self) return health.leader;
      }
      return undefined;
    },
    signal: (name, signal) => of(name).child?.kill(signal),
    async start(name) {
      const member = of(name);
      await member.child?.exited;
      member.child = Bun.spawn(
        [process.execPath, join(import.meta.dir, "kv-member.ts"), JSON.stringify(member.config)],
        { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
      );
      for await (const chunk of member.child.stdout) if (chunk.length > 0) return;
      throw new Error(`${name} did not start`);
    },
    cut(name, how) {
      for (const [other, { proxy }] of members) proxy.cut(other === name ? "" : name, how);
    },
    heal() {
      for (const { proxy } of members.values()) proxy.heal();
    },
    describe: () =>
      Promise.all(
        urls.map(async (url, i) => {
          const startedMs = performance.now();
          const said = await fetch(`${url}/health`, { signal: AbortSignal.timeout(REQUEST_MS) }).then(
            (response) => response.text(),
            String,
          );
          return `${names[i]} after ${(performance.now() - startedMs).toFixed(0)} ms: ${said}`;
        }),
      ),
    async close() {
      for (const { child, proxy } of members.values()) {
        child?.kill("SIGKILL");
        await child?.exited;
        proxy.close();
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
  await Promise.all(names.map((name) => target.start(name)));
  return target;
}

export function kvOver(url: string): Target {
  const call = async <T>(path: string, init?: RequestInit): Promise<T> => {
    let response: Response;
    let text: string;
    try {
      response = await fetch(url + path, { ...init, signal: AbortSignal.timeout(REQUEST_MS) });
      text = await response.text();
    } catch (cause) {
      const refused = (cause as { code?: string }).code === "ConnectionRefused";
      throw new SystemError(refused ? "control_no_leader" : "control_state_unknown", "no answer", { cause });
    }
    if (response.ok) return JSON.parse(text) as T;
    const error = parseErrorBody(text);
    throw new SystemError((error?.code ?? "internal") as SystemErrorCode, error?.message ?? text);
  };
  return {
    get: async (key) => (await call<Kv | null>(`/get?key=${encodeURIComponent(key)}`)) ?? undefined,
    txn: (txn: Txn) => call<TxnResult>("/txn", { method: "POST", body: JSON.stringify(txn) }),
  };
}
