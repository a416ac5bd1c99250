import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildForWorkers } from "../../scripts/build-gateway.ts";
import { type Running, bin, eventually, run } from "../e2e/process.ts";

/** The Workers bundle on workerd, which is what runs it at Cloudflare's edge. */
export async function startWorkerd(
  directory: string,
  variables: Record<string, string>,
  /** A folder of the dashboards' built files, bound as ASSETS. */
  assets?: string,
): Promise<{ process: Running; port: number }> {
  const folder = mkdtempSync(join(directory, "workerd-"));
  await buildForWorkers(folder);
  const probe = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const port = probe.port ?? 0;
  await probe.stop(true);
  const bindings = Object.entries(variables).map(
    ([name, text]) => `(name = ${JSON.stringify(name)}, text = ${JSON.stringify(text)})`,
  );
  const files = assets === undefined ? "" : `(name = "assets", disk = ${JSON.stringify(assets)}),`;
  if (assets !== undefined) bindings.push(`(name = "ASSETS", service = "assets")`);
  const config = join(folder, "config.capnp");
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "gateway", worker = .gateway), ${files}
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "gateway")],
);
const gateway :Workerd.Worker = (
  modules = [(name = "gateway", esModule = embed "gateway-worker.js")],
  compatibilityDate = "2026-04-01",
  compatibilityFlags = ["enable_request_signal"],
  bindings = [${bindings.join(", ")}],
);
`,
  );
  const process = run([bin("workerd"), "serve", config]);
  await eventually(() => fetch(`http://127.0.0.1:${port}/`));
  return { process, port };
}
