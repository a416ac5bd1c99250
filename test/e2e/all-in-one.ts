import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Running, bin, finish, run } from "./process.ts";

/** The whole platform as `npm start` runs it, on a free port. */
export interface AllInOne {
  readonly process: Running;
  readonly data: string;
  readonly port: number;
  /** e.g. `http://acme.localhost:34567` */
  url(name: string): string;
  /** The command line tool on this platform. */
  manybase(...words: string[]): Promise<{ status: number; output: string; errors: string }>;
  /** Process ids of the parts, by name. */
  pids(): Record<"control" | "worker" | "gateway", number>;
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), "manybase-e2e-"));
}

export async function startAllInOne(
  data: string,
  options: readonly string[] = [],
  environment: Record<string, string> = {},
): Promise<AllInOne> {
  rmSync(join(data, "local.json"), { force: true });
  // Not by `bun run all`: killing that would kill a wrapper.
  const process = run([bin("bun"), "scripts/all.ts", "--data", data, "--port", "0", ...options], environment);
  await process.line("Ctrl-C stops everything.");
  const { admin } = JSON.parse(readFileSync(join(data, "local.json"), "utf8")) as { admin: string };
  const port = Number(new URL(admin).port);
  return {
    process,
    data,
    port,
    url: (name) => `http://${name}.localhost:${port}`,
    manybase: (...words) => finish([bin("bun"), "run", "--silent", "manybase", ...words, "--data", data]),
    pids() {
      const table = Bun.spawnSync(["ps", "-eo", "pid,args"]).stdout.toString();
      const find = (main: string) => {
        const row = table.split("\n").find((line) => line.includes(`${main}/main.ts`) && line.includes(data));
        return Number(row?.trim().split(" ")[0] ?? 0);
      };
      return { control: find("control"), worker: find("worker"), gateway: find("gateway") };
    },
  };
}
