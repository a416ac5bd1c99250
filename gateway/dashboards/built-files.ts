import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { MIME_TYPES } from "./mime-types.ts";

/** The dashboards' builds, by the folder that each has. */
export const DASHBOARDS = ["operators", "customers", "tenant"] as const;
export type Dashboard = (typeof DASHBOARDS)[number];

/** One file of a build, in the codings that the build made of it. */
export interface BuiltFile {
  type: string;
  /** The name has a hash of the content in it: it never means anything else. */
  immutable: boolean;
  codings: ReadonlyMap<Coding, CodedFile>;
}

export interface CodedFile {
  bytes: Uint8Array<ArrayBuffer>;
  etag: string;
}

export type Coding = "identity" | "br" | "gzip";
const SUFFIXES: readonly [string, Coding][] = [
  [".br", "br"],
  [".gz", "gzip"],
];
/** As bundlers put hashes into names: `index-BfX3k2aB.js`, `app.3f9a81c2.css`. */
const HASHED = /[-.](?=[\w-]*[0-9A-Z])[\w-]{8,}\.[a-z0-9]+$/;

/** Files by dashboard, then by path below its folder, e.g. `assets/index-BfX3k2aB.js`. */
export type BuiltFiles = ReadonlyMap<Dashboard, ReadonlyMap<string, BuiltFile>>;

/**
 * Everything that is served, in memory: a path is looked up as it is, so that there is none that leads out of the folder.
 *
 * @param files bytes by path relative to the folder of all dashboards
 * @throws UserError `invalid_directory`
 */
export async function builtFiles(
  files: Iterable<[path: string, bytes: Uint8Array<ArrayBuffer>]>,
): Promise<BuiltFiles> {
  type Growing = BuiltFile & { codings: Map<Coding, CodedFile> };
  const all = new Map<Dashboard, Map<string, Growing>>();
  let count = 0;
  let size = 0;
  for (const [path, bytes] of files) {
    count += 1;
    size += bytes.length;
    if (count > limits.dashboardFilesMax || size > limits.dashboardBytesMax) throw tooMany();
    const [folder = "", ...rest] = path.split("/");
    const dashboard = DASHBOARDS.find((name) => name === folder);
    if (dashboard === undefined || rest.length === 0) continue;
    const [suffix, coding] = SUFFIXES.find(([end]) => path.endsWith(end)) ?? ["", "identity" as const];
    const name = rest.join("/").slice(0, rest.join("/").length - suffix.length);
    const ofDashboard = all.get(dashboard) ?? new Map<string, Growing>();
    all.set(dashboard, ofDashboard);
    let file = ofDashboard.get(name);
    if (file === undefined) {
      file = { type: typeOf(name), immutable: HASHED.test(name), codings: new Map() };
      ofDashboard.set(name, file);
    }
    file.codings.set(coding, { bytes, etag: await etagOf(bytes) });
  }
  for (const ofDashboard of all.values()) {
    // Only what is there uncoded exists: the coded ones stand for it.
    for (const [name, { codings }] of ofDashboard) if (!codings.has("identity")) ofDashboard.delete(name);
  }
  return all;
}

function typeOf(name: string): string {
  return MIME_TYPES.get(name.slice(name.lastIndexOf(".") + 1).toLowerCase()) ?? "application/octet-stream";
}

async function etagOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).subarray(0, 12);
  return `"${Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")}"`;
}

function tooMany(): UserError {
  return new UserError(
    "invalid_directory",
    `Cannot serve the dashboards: their folder has over ${limits.dashboardFilesMax} files or ${limits.dashboardBytesMax} bytes`,
    { hint: "Give the folder of the built files alone." },
  );
}
