/** The whole API of a tenant behind a real HTTP server, with the real tenant, gate and store below: for tests and benches. */
import type { Server } from "bun";
import { createTenantApp } from "./app.ts";
import { upsertSuperuser } from "./auth/superuser.ts";
import { leave } from "./http/leave.ts";
import { bootstrap } from "./model/bootstrap.ts";
import type { ObjectStore } from "../shared/objects/contract.ts";
import { Network } from "./outbound/network.ts";
import { SQL_FUNCTIONS } from "./query/functions.ts";
import type { Tenant } from "./tenant/contract.ts";
import { type TestHost, TestWorld } from "./tenant/test-world.ts";

export const SUPERUSER = { email: "root@example.com", password: "1234567890" };

export interface TestApi {
  url: string;
  tenant: Tenant;
  world: TestWorld;
  host: TestHost;
  server: Server<undefined>;
  close(): Promise<void>;
}

/** A JSON request whose body comes when it is told to: who asks has been looked up by then. */
export function slowPost(
  { tenant, url }: TestApi,
  path: string,
  token: string,
  body: unknown,
): { arrive: () => void; answered: Promise<Response> } {
  const { promise, resolve: arrive } = Promise.withResolvers<void>();
  const stream = new ReadableStream({
    async pull(controller) {
      await promise;
      controller.enqueue(new TextEncoder().encode(JSON.stringify(body)));
      controller.close();
    },
  });
  const headers = { authorization: token, "content-type": "application/json" };
  const request = new Request(url + path, { method: "POST", headers, body: stream });
  const asked = { tenant, seen: tenant.observe(), clientIp: "127.0.0.1", origin: url, requestId: "slow" };
  return { arrive, answered: Promise.resolve(createTenantApp()({ request, ...asked })) };
}

/** A new tenant with `SUPERUSER` in it. */
export async function startTestApi(
  durability: "durable" | "async" = "durable",
  more: { storageBytesMax?: number; wrapStore?: (store: ObjectStore) => ObjectStore } = {},
): Promise<TestApi> {
  const { wrapStore, ...assigned } = more;
  const world = await TestWorld.open();
  const store = wrapStore === undefined ? {} : { store: wrapStore(world.store) };
  const host = world.host({ bootstrap, sqlFunctions: SQL_FUNCTIONS, ...store });
  const tenant = await world.at(host, world.create(host, durability, assigned));
  await upsertSuperuser(tenant, tenant.observe(), SUPERUSER.email, SUPERUSER.password);
  const app = createTenantApp({ network: new Network({ allowPrivate: true }) });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch(request) {
      const origin = `http://${request.headers.get("host") ?? ""}`;
      const context = {
        request,
        tenant,
        seen: tenant.observe(),
        clientIp: "127.0.0.1",
        origin,
        requestId: "test",
      };
      const answered = app(context);
      return answered instanceof Promise
        ? answered.then((response) => leave(context, response))
        : leave(context, answered);
    },
    error: (error) => new Response(String(error.stack), { status: 500 }),
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    tenant,
    world,
    host,
    server,
    close: async () => {
      await server.stop(true);
      world.close();
    },
  };
}
