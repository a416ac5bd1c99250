/** The gateway where the platform takes the connections (Deno Deploy), stood in for by Deno's own server. */
import { afterAll, expect, test } from "bun:test";
import { bin, eventually, killAll, run } from "../e2e/process.ts";
import { FakeControl, makeData, removeData, startWorker } from "./platform.ts";
import { exchangeRaw, statusOf } from "./raw.ts";

const control = new FakeControl();
const worker = startWorker(1, (request, server) => {
  if (request.headers.get("upgrade") !== "websocket") return counted(request);
  return server.upgrade(request, { data: undefined }) ? undefined : new Response("no", { status: 400 });
});
const counted = async (request: Request) => new Response(`got ${(await request.text()).length}`);
control.set("acme", worker);

afterAll(async () => {
  await killAll();
  await Promise.all([worker.stop(), control.stop()]);
  removeData();
});

test("requests and WebSockets that the platform hands over reach the worker", async () => {
  const data = makeData();
  const flags = ["--allow-net", "--allow-env=MANYBASE_*,DENO_DEPLOYMENT_ID", `--allow-read=${data}`];
  const words = ["--control", control.url, "--data", data, "--listen", "127.0.0.1:0"];
  const gateway = run([bin("deno"), "run", "--no-prompt", ...flags, "gateway/main.ts", ...words], {
    DENO_DEPLOYMENT_ID: "test",
  });
  const { port } = new URL(await gateway.line("gateway ready on "));
  const url = `http://acme.localhost:${port}/`;
  await eventually(async () => expect(await (await fetch(url)).text()).toBe("got 0"));
  const posted = await fetch(url, { method: "POST", body: "x".repeat(2_000_000) });
  expect(await posted.text()).toBe("got 2000000");
  // A front of ours would say why: this is Deno's server.
  const refused = await exchangeRaw(Number(port), "nonsense\r\n\r\n");
  expect(statusOf(refused)).toBe(400);
  expect(refused).not.toContain("invalid_request");
  const socket = new WebSocket(url.replace("http", "ws"));
  const heard = new Promise((resolve) =>
    socket.addEventListener("message", ({ data: said }) => resolve(said)),
  );
  socket.addEventListener("open", () => socket.send("hello"));
  expect(await heard).toBe("hello");
  socket.close();
}, 30_000);
