import { mkdirSync } from "node:fs";
import { resolve } from "node:path";

const root = resolve(import.meta.dir, "..");

/** Bundles the gateway for Cloudflare Workers into one module; returns its path. */
export async function buildForWorkers(directory: string): Promise<string> {
  mkdirSync(directory, { recursive: true });
  const built = await Bun.build({
    entrypoints: [resolve(root, "gateway/adapters/workers.ts")],
    outdir: directory,
    naming: "gateway-worker.js",
    target: "browser",
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    minify: { syntax: true, whitespace: true },
  });
  const [output] = built.outputs;
  if (!built.success || output === undefined)
    throw new AggregateError(built.logs, "Cannot bundle the gateway");
  const foreign = /(?:^|[;\s])import[^;]*?from\s*"(?:node|bun):/.exec(await output.text());
  if (foreign !== null) throw new Error(`Cannot use this bundle on Workers: it has ${foreign[0]}`);
  return output.path;
}

if (import.meta.main) {
  const path = await buildForWorkers(resolve(root, "dist/gateway"));
  process.stdout.write(`${path}: ${Bun.file(path).size} bytes\n`);
}
