import { dirname, join, normalize } from "node:path";

/** One import statement: the file that has it and what it names, both relative to the repository. */
export interface Import {
  from: string;
  /** A path like `shared/ids.ts`, or a bare name like `zod`, `node:fs`, `bun:sqlite`. */
  target: string;
}

const IMPORT = /(?:^|\n)\s*(?:import|export)\s(?:[^"';]*?\sfrom\s*)?"([^"]+)"|\bimport\(\s*"([^"]+)"/g;

export function importsOf(file: string, source: string): Import[] {
  return [...source.matchAll(IMPORT)].map(([, statement, call]) => {
    const name = statement ?? call ?? "";
    return { from: file, target: name.startsWith(".") ? normalize(join(dirname(file), name)) : name };
  });
}

const ROOMS = ["shared", "gateway", "worker", "control", "scripts", "test"];
const isTest = (file: string): boolean => /\.(?:test|suite|bench)\.ts$|\/testing(?:\.ts$|\/)/.test(file);
const roomOf = (path: string): string | undefined => ROOMS.find((room) => path.startsWith(`${room}/`));
const under = (path: string, ...folders: string[]): boolean =>
  folders.some((folder) => path.startsWith(folder));

/** Libraries that run on Web standards alone: all that shared and the runtime-neutral gateway may use. */
const NEUTRAL = /^(?:zod|hono(?:\/.*)?|@noble\/hashes\/.*|eventsource-parser(?:\/.*)?|lru-cache)$/;

/** Edges between rooms that a decision record allows. */
const ALLOWED: readonly { from: string; to: string; decision: string }[] = [
  { from: "control/objects.ts", to: "worker/objects/open.ts", decision: "0001" },
];

/** Why an import breaks the architecture, or undefined. */
export function violation({ from, target }: Import): string | undefined {
  const here = roomOf(from);
  const there = roomOf(target);
  if (here === "scripts" || here === "test") return undefined;
  if (there !== undefined && there !== here && there !== "shared") {
    const allowed = ALLOWED.some((edge) => from === edge.from && target === edge.to);
    if (!allowed && !isTest(from)) return `${here} imports ${there}: rooms meet through shared only`;
  }
  if (here === "shared" && there !== undefined && there !== "shared") return "shared imports no room";
  if (isTest(from)) return undefined;

  const neutral =
    here === "shared" ||
    (here === "gateway" && from !== "gateway/main.ts" && !under(from, "gateway/adapters/"));
  if (neutral && there === undefined && !NEUTRAL.test(target)) return `${target} is not of the Web platform`;
  if (target === "bun:sqlite" && !under(from, "worker/sqlite/")) return "bun:sqlite belongs to worker/sqlite";
  const isKms = target === "@aws-sdk/client-kms" && under(from, "worker/encryption/");
  if (target.startsWith("@aws-sdk/") && !isKms && !under(from, "worker/objects/"))
    return "the S3 client belongs to worker/objects";
  const feature = /^worker\/features\/([^/]+)\//.exec(from)?.[1];
  const other = /^worker\/features\/([^/]+)\//.exec(target)?.[1];
  if (feature !== undefined && other !== undefined && feature !== other)
    return `feature ${feature} imports feature ${other}`;
  const core = under(
    from,
    "worker/model/",
    "worker/query/",
    "worker/tenant/",
    "worker/replication/",
    "worker/sqlite/",
    "worker/encryption/",
    "worker/objects/",
    "worker/auth/",
  );
  if (core && under(target, "worker/features/", "worker/pb/", "worker/http/"))
    return "the core of a tenant knows no HTTP";
  if (/(?:^|\/)index\.ts$/.test(target)) return "no barrels";
  return undefined;
}
