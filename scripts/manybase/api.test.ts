import { afterEach, describe, expect, test } from "bun:test";
import { z } from "zod";
import { SystemError, errorResponse } from "../../shared/errors.ts";
import { openApi } from "./api.ts";

const servers: { stop(force?: boolean): unknown; port?: number | undefined }[] = [];
const asked: string[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.stop(true);
  asked.length = 0;
});

function replica(name: string, answer: () => Response): string {
  const fetch = (request: Request): Response => {
    asked.push(`${name} ${request.method}`);
    return answer();
  };
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
  servers.push(server);
  return `http://127.0.0.1:${server.port}`;
}

/** Nothing listens there. */
function refusing(): string {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  void server.stop(true);
  return `http://127.0.0.1:${server.port}`;
}

const well = (): Response => Response.json({ fine: true });
const schema = z.object({ fine: z.boolean() });
const call = (urls: string[], method: "GET" | "POST" = "POST") =>
  openApi({ control: urls.join(", "), token: "t" }).call(method, "/api/cp/x", schema, {});

describe("several addresses of control", () => {
  test("the next one is asked when one refuses the connection or has no leader", async () => {
    const leaderless = replica("a", () =>
      errorResponse(new SystemError("control_no_leader", "Cannot do this here: no leader")),
    );
    expect(await call([refusing(), leaderless, replica("b", well)])).toEqual({ fine: true });
    expect(asked).toEqual(["a POST", "b POST"]);
  });

  test("not when one may have done it, or refused it", async () => {
    const unknown = replica("a", () =>
      errorResponse(new SystemError("control_state_unknown", "Cannot say: it may have happened")),
    );
    const other = replica("b", well);
    await expect(call([unknown, other])).rejects.toMatchObject({ code: "control_state_unknown" });
    expect(asked).toEqual(["a POST"]);
  });

  test("the last one's error is told", async () => {
    await expect(call([refusing(), refusing()])).rejects.toMatchObject({ code: "control_unreachable" });
  });
});
