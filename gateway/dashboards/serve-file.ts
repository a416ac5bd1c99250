import { UserError } from "../../shared/errors.ts";
import type { BuiltFile, BuiltFiles, Coding, Dashboard } from "./built-files.ts";
import type { Incoming } from "../proxy/incoming.ts";

/** Where built files come from: the process's memory, or the binding of a runtime that serves files itself. */
export type DashboardFiles = (
  dashboard: Dashboard,
  path: string,
  request: Incoming,
) => Promise<Response | undefined> | Response | undefined;

/**
 * The apps load what is theirs and speak with their own host only. Styles may be inline, because component libraries set them so;
 * scripts may not.
 */
const CSP = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

const IMMUTABLE = "public, max-age=31536000, immutable";
const REVALIDATED = "no-cache";

/**
 * A dashboard's file, or for a path without an extension its `index.html`, where the app's own router goes on. Undefined when the
 * dashboard is not there.
 *
 * @param path below the dashboard, e.g. `/assets/x.js`
 * @throws UserError `not_found` for a file that is not there, `method_not_allowed`
 */
export async function serveDashboard(
  files: DashboardFiles | undefined,
  dashboard: Dashboard,
  path: string,
  request: Incoming,
): Promise<Response | undefined> {
  if (files === undefined) return undefined;
  const name = path.replace(/^\/+/, "");
  const isFile = /\.[a-z0-9]+$/i.test(name);
  const wanted = isFile ? name : "index.html";
  // What no build has in its names is not looked for: another's file system may read it otherwise.
  const plain = wanted.split("/").every((part) => /^[\w.@ -]+$/.test(part) && part !== "." && part !== "..");
  const found = plain ? await files(dashboard, wanted, request) : undefined;
  if (found !== undefined && request.method !== "GET" && request.method !== "HEAD") {
    throw new UserError("method_not_allowed", "Cannot do this to a dashboard's file: only GET and HEAD");
  }
  if (found === undefined) {
    if (!isFile) return undefined;
    throw new UserError("not_found", "Cannot find this file: the dashboard has none of that name");
  }
  const response = new Response(found.body, found);
  response.headers.set("content-security-policy", CSP);
  response.headers.set("x-content-type-options", "nosniff");
  response.headers.set("referrer-policy", "same-origin");
  return response;
}

/** Serves from memory. */
export function filesInMemory(built: BuiltFiles): DashboardFiles {
  return (dashboard, path, request) => {
    const file = built.get(dashboard)?.get(path);
    return file === undefined ? undefined : answer(file, request);
  };
}

function answer(file: BuiltFile, request: Incoming): Response | undefined {
  const coding = preferred(file, request.headers.get("accept-encoding") ?? "");
  const chosen = file.codings.get(coding);
  if (chosen === undefined) return undefined;
  const headers = new Headers({
    "content-type": file.type,
    etag: chosen.etag,
    "cache-control": file.immutable ? IMMUTABLE : REVALIDATED,
    ...(file.codings.size > 1 ? { vary: "accept-encoding" } : {}),
    ...(coding === "identity" ? {} : { "content-encoding": coding }),
  });
  if (matches(request.headers.get("if-none-match"), chosen.etag)) {
    return new Response(null, { status: 304, headers });
  }
  headers.set("content-length", String(chosen.bytes.length));
  return new Response(request.method === "HEAD" ? null : chosen.bytes, { headers });
}

/** The smallest coding that is there and that the client names; one with `q=0` is not wanted. */
function preferred({ codings }: BuiltFile, accepted: string): Coding {
  const named = new Set(
    accepted
      .toLowerCase()
      .split(",")
      .map((part) => part.trim())
      .filter((part) => !/;\s*q=0(?:\.0*)?$/.test(part))
      .map((part) => part.split(";", 1)[0]?.trim()),
  );
  return (["br", "gzip"] as const).find((coding) => named.has(coding) && codings.has(coding)) ?? "identity";
}

/** RFC 9110 §13.1.2: weakly, since a proxy may have marked it so. */
function matches(header: string | null, etag: string): boolean {
  if (header === null) return false;
  return header.split(",").some((one) => one.trim() === "*" || one.trim().replace(/^W\//, "") === etag);
}
