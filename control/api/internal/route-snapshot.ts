import { limits } from "../../../shared/limits.ts";
import type { RouteSnapshot } from "../../../shared/protocol/internal.ts";
import { routeOf } from "../../domain/route.ts";
import type { Table } from "../../domain/table.ts";

/**
 * All routes, encoded in slices over turns of the event loop. Routes of later slices may be newer than `revision`: who then
 * listens from `revision` hears those changes again, which is harmless.
 */
export function routeSnapshot(table: Table): Response {
  const encoder = new TextEncoder();
  const revision: RouteSnapshot["revision"] = table.revision;
  const tenants = table.tenants();
  let separator = `{"revision":${revision},"routes":[`;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        let text = "";
        let done: boolean | undefined = false;
        for (let i = 0; i < limits.routesPerSlice && !done; i++) {
          const next = tenants.next();
          done = next.done;
          if (next.done) break;
          text += separator + JSON.stringify(routeOf(table, next.value));
          separator = ",";
        }
        if (done) text += `${separator === "," ? "" : separator}]}`;
        controller.enqueue(encoder.encode(text));
        if (done) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "content-type": "application/json", "cache-control": "no-store" } });
}
