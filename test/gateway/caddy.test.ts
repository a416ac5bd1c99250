/** A real Caddy in front: certificates on demand for whatever the gateway vouches for. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { debianProgram } from "../../scripts/debian.ts";
import { eventually, killAll, run } from "../e2e/process.ts";
import {
  FakeControl,
  type FakeWorker,
  type GatewayProcess,
  makeData,
  removeData,
  startGateway,
  startWorker,
} from "./platform.ts";
import { freePort } from "./real-platform.ts";

const caddy = await debianProgram("caddy", "caddy", "usr/bin/caddy");
let control: FakeControl;
let worker: FakeWorker;
let gateway: GatewayProcess;
let port = 0;
let folder = "";

beforeAll(async () => {
  if (caddy === undefined) return;
  worker = startWorker(1, (request) => Response.json(Object.fromEntries(request.headers)));
  control = new FakeControl();
  control.set("acme", worker, { domains: ["shop.example.org"] });
  folder = makeData();
  port = await freePort();
  gateway = await startGateway("bun", control.url, ["--trusted-proxies=127.0.0.1,::1"]);
  await eventually(async () => expect((await fetch(gateway.url("acme"))).status).toBe(200));
  const document = readFileSync(join(import.meta.dir, "../../gateway/deploy/tls.md"), "utf8");
  const [, documented = ""] = /```caddyfile\n([\s\S]*?)```/.exec(document) ?? [];
  // As in the document, but for the authority, which is Caddy's own here, and the ports.
  const caddyfile = documented
    .replace(/email .*/, `local_certs\n\tskip_install_trust\n\tadmin off\n\tstorage file_system ${folder}`)
    .replace(/^\{/, `{\n\thttps_port ${port}\n\thttp_port ${await freePort()}`)
    .replaceAll("127.0.0.1:8080", `127.0.0.1:${gateway.port}`);
  const file = join(folder, "Caddyfile");
  writeFileSync(file, caddyfile);
  const process = run([caddy, "run", "--config", file, "--adapter", "caddyfile"], { HOME: folder });
  await eventually(() => {
    expect(process.errors()).toContain("serving initial configuration");
    return readFileSync(join(folder, "pki/authorities/local/root.crt"));
  });
}, 60_000);

afterAll(async () => {
  await killAll();
  if (caddy !== undefined) await Promise.all([worker.stop(), control.stop()]);
  removeData();
});

/** The answer over a connection whose certificate is checked, or what went wrong. */
function ask(host: string, path = "/"): Promise<string> {
  return new Promise((resolve) => {
    const ca = readFileSync(join(folder, "pki/authorities/local/root.crt"), "utf8");
    const socket = connect({ host: "127.0.0.1", port, servername: host, ca }, () => {
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n`,
      );
    });
    let text = "";
    socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
    socket.on("data", (bytes: Buffer) => (text += bytes.toString("latin1")));
    socket.on("error", (error) => resolve(`error ${error.message}`));
    socket.on("close", () => resolve(text));
  });
}

describe.skipIf(caddy === undefined)("behind Caddy", () => {
  test.each(["acme.localhost", "shop.example.org", "admin.localhost", "app.localhost"])(
    "%s has a certificate of its own",
    async (host) => expect(await ask(host)).toStartWith("HTTP/1.1 200"),
  );

  test.each(["nobody.localhost", "evil.example.net", "a.acme.localhost"])("%s gets none", async (host) => {
    expect(await ask(host)).toStartWith("error ");
  });

  test("the worker hears of the client's protocol and address, not of what the client says", async () => {
    const answer = await ask("shop.example.org");
    expect(answer).toContain('"x-forwarded-proto":"https"');
    expect(answer).toContain('"x-forwarded-for":"127.0.0.1"');
    expect(answer).toContain('"x-forwarded-host":"shop.example.org"');
  });

  test("a host that was verified since has one", async () => {
    expect(await ask("late.example.org")).toStartWith("error ");
    control.set("late", worker, { domains: ["late.example.org"] });
    await eventually(async () => expect(await ask("late.example.org")).toStartWith("HTTP/1.1 200"));
  });
});
