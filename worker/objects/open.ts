import { fileURLToPath } from "node:url";
import { UserError } from "../../shared/errors.ts";
import type { ObjectStore } from "../../shared/objects/contract.ts";
import { openFileStore } from "./file/file-store.ts";
import type { S3Options } from "./s3/client.ts";
import { openS3Store } from "./s3/s3-store.ts";

const S3_PARAMETERS = new Set(["endpoint", "region", "force-path-style"]);
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/;

/**
 * Opens `file:./data/store`, `file:///var/lib/manybase/store` or
 * `s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1&force-path-style=true`.
 * Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN), else from the SDK's chain.
 * @throws UserError `invalid_option`, `invalid_directory`
 */
export async function openObjectStore(
  location: string,
  environment: Record<string, string | undefined>,
): Promise<ObjectStore> {
  if (location.startsWith("file:")) return openFileStore(filePath(location));
  if (location.startsWith("s3://")) return openS3Store(s3Options(location, environment));
  throw invalid(location, "it is neither file: nor s3:", "Write file:./data/store or s3://bucket/prefix.");
}

function filePath(location: string): string {
  const path = location.slice("file:".length);
  if (path === "") throw invalid(location, "it names no directory", "Write file:./data/store.");
  if (!path.startsWith("//")) return path;
  try {
    return fileURLToPath(location);
  } catch (cause) {
    throw invalid(location, "it is not a local path", "Write three slashes: file:///var/lib/store.", cause);
  }
}

/** Exported for its test. */
export function s3Options(location: string, environment: Record<string, string | undefined>): S3Options {
  const url = URL.parse(location);
  if (url === null) throw invalid("s3://…", "it is not a URL", "Write s3://bucket/prefix?region=us-east-1.");
  if (url.username !== "" || url.password !== "") {
    throw invalid(
      "s3://…",
      "it carries credentials",
      "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead.",
    );
  }
  if (!BUCKET.test(url.hostname)) {
    throw invalid(location, "it names no bucket", "Write s3://bucket/prefix.");
  }
  const unknown = [...url.searchParams.keys()].find((name) => !S3_PARAMETERS.has(name));
  if (unknown !== undefined) {
    throw invalid(location, `${unknown} is unknown`, `Known are ${[...S3_PARAMETERS].join(", ")}.`);
  }
  const endpoint = url.searchParams.get("endpoint") ?? undefined;
  if (endpoint !== undefined && !/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    throw invalid(location, "its endpoint is not an HTTP address", "Write endpoint=http://127.0.0.1:9000.");
  }
  const pathStyle = url.searchParams.get("force-path-style") ?? "false";
  if (pathStyle !== "true" && pathStyle !== "false") {
    throw invalid(location, "force-path-style is neither true nor false", "Write force-path-style=true.");
  }
  return {
    bucket: url.hostname,
    prefix: prefixOf(location, url.pathname),
    region: url.searchParams.get("region") ?? environment["AWS_REGION"] ?? "us-east-1",
    forcePathStyle: pathStyle === "true",
    ...(endpoint === undefined ? {} : { endpoint }),
    ...credentials(environment),
  };
}

function prefixOf(location: string, pathname: string): string {
  const segments = pathname.split("/").filter((segment) => segment !== "");
  try {
    return segments.map(decodeURIComponent).join("/");
  } catch (cause) {
    throw invalid(location, "its prefix is not percent-encoded", "Write % as %25.", cause);
  }
}

function credentials(environment: Record<string, string | undefined>): Pick<S3Options, "credentials"> {
  const accessKeyId = environment["AWS_ACCESS_KEY_ID"];
  const secretAccessKey = environment["AWS_SECRET_ACCESS_KEY"];
  const sessionToken = environment["AWS_SESSION_TOKEN"];
  if (!accessKeyId || !secretAccessKey) return {};
  return { credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) } };
}

function invalid(location: string, state: string, hint: string, cause?: unknown): UserError {
  return new UserError("invalid_option", `Cannot use object store ${location}: ${state}`, {
    hint,
    ...(cause === undefined ? {} : { cause }),
  });
}
