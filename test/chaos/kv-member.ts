/** A member of the raft engine as a process, with the store over HTTP and JSON: for campaigns and benchmarks. */
import { z } from "zod";
import { SystemError, errorResponse } from "../../shared/errors.ts";
import { parseKeyring } from "../../shared/protocol/keys.ts";
import { Listener } from "../../control/listener.ts";
import { openMember } from "../../control/raft/cluster.ts";
import type { Txn } from "../../control/store/contract.ts";

const configSchema = z.object({
  id: z.string(),
  directory: z.string(),
  port: z.number(),
  /** Own address for the others, which may be a proxy's. */
  url: z.string(),
  founders: z.record(z.string(), z.string()),
  key: z.string(),
  snapshotEvery: z.number(),
});
export type KvMemberConfig = z.infer<typeof configSchema>;

if (import.meta.main) await run(configSchema.parse(JSON.parse(process.argv[2] ?? "{}")));

async function run(config: KvMemberConfig): Promise<void> {
  const stop = (error: SystemError): never => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  };
  const listener = new Listener({ hostname: "127.0.0.1", port: config.port });
  const member = await openMember({
    directory: config.directory,
    memberId: config.id,
    url: config.url,
    founders: new Map(Object.entries(config.founders)),
    keys: parseKeyring(config.key, "key"),
    snapshotEvery: config.snapshotEvery,
    stopping: new AbortController().signal,
    onFailure: stop,
    onMet: () => undefined,
    onProblem: (error) => process.stderr.write(`${error.message}\n`),
  });
  listener.links = (request, server) => member.accept(request, server);
  const { store } = member;
  listener.answer = async (request) => {
    try {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname === "/txn") return Response.json(await store.txn((await request.json()) as Txn));
      if (pathname === "/get") return Response.json((await store.get(searchParams.get("key") ?? "")) ?? null);
      return Response.json(await store.health());
    } catch (error) {
      return errorResponse(error);
    }
  };
  process.stdout.write("ready\n");
}
