import type { z } from "zod";
import {
  SYSTEM_ERRORS,
  SystemError,
  type SystemErrorCode,
  USER_ERRORS,
  UserError,
  type UserErrorCode,
  parseErrorBody,
} from "../errors.ts";
import { limits } from "../limits.ts";
import { HEADERS } from "./headers.ts";
import type { Keyring } from "./keys.ts";
import { signCall } from "./signature.ts";

/** Another replica may do better. */
const ELSEWHERE: ReadonlySet<string> = new Set<SystemErrorCode>(["control_unreachable", "control_no_leader"]);

export interface InternalClientOptions {
  /** Base URL of a room's `/v1` listener; several replicas of one room separated by commas. */
  url: string;
  keys: Keyring;
  /** Per call, besides the caller's signal. */
  timeoutMs: number;
  fetch?: typeof fetch;
  nowMs?: () => number;
}

/**
 * Signed JSON calls between rooms. Of several replicas the one that answered last is asked first, and the next one when it cannot be
 * reached, has no leader or keeps silent: every `/v1` call may be repeated. The other side's errors come back as the same UserError or SystemError; no answer at all
 * is SystemError `control_unreachable`, and the call may or may not have happened.
 */
export class InternalClient {
  readonly #urls: readonly string[];
  readonly #options: InternalClientOptions;
  #preferred = 0;

  constructor(options: InternalClientOptions) {
    this.#urls = options.url
      .split(",")
      .map((url) => url.trim().replace(/\/$/, ""))
      .filter((url) => url !== "");
    this.#options = options;
  }

  /** The replica that answered last. */
  get url(): string {
    return this.#urls[this.#preferred] ?? "";
  }

  /** All replicas, the one that answered last first, as `url` of another client. */
  get urls(): string {
    return [...this.#urls.slice(this.#preferred), ...this.#urls.slice(0, this.#preferred)].join(",");
  }

  async call<Schema extends z.ZodType>(
    method: "GET" | "POST",
    path: string,
    schema: Schema,
    body?: unknown,
    signal?: AbortSignal,
  ): Promise<z.infer<Schema>> {
    const timeout = AbortSignal.timeout(this.#options.timeoutMs);
    const response = await this.open(
      method,
      path,
      body,
      signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    );
    const text = await response.text();
    const parsed = schema.safeParse(parseJson(text));
    if (!parsed.success) {
      throw new SystemError(
        "internal",
        `Cannot read the answer of ${path}: ${parsed.error.issues[0]?.message ?? "unknown shape"}`,
      );
    }
    return parsed.data;
  }

  /** The answer of a successful call as it is, for streams; an unsuccessful one throws. */
  async open(method: "GET" | "POST", path: string, body: unknown, signal: AbortSignal): Promise<Response> {
    const bytes = body === undefined ? undefined : new TextEncoder().encode(JSON.stringify(body));
    for (let attempt = 1; ; attempt++) {
      const at = this.#preferred;
      const last = attempt >= this.#urls.length;
      try {
        return await this.#send(method, path, bytes, signal, last ? undefined : limits.replicaAttemptMs);
      } catch (error) {
        const elsewhere = error instanceof SystemError && ELSEWHERE.has(error.code);
        // Another call may have turned to the next one already.
        if (elsewhere && this.#preferred === at) this.#preferred = (at + 1) % this.#urls.length;
        if (!elsewhere || last || signal.aborted) throw error;
      }
    }
  }

  async #send(
    method: "GET" | "POST",
    path: string,
    bytes: Uint8Array<ArrayBuffer> | undefined,
    outer: AbortSignal,
    headersWithinMs: number | undefined,
  ): Promise<Response> {
    const { keys, fetch: send = fetch, nowMs = Date.now } = this.#options;
    const impatience = new AbortController();
    const timer =
      headersWithinMs === undefined ? undefined : setTimeout(() => impatience.abort(), headersWithinMs);
    const { url } = this;
    let response: Response;
    try {
      response = await send(url + path, {
        method,
        headers: {
          [HEADERS.signature]: signCall(keys, method, path, bytes ?? new Uint8Array(), nowMs()),
          ...(bytes === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(bytes === undefined ? {} : { body: bytes }),
        signal: AbortSignal.any([outer, impatience.signal]),
      });
    } catch (cause) {
      throw new SystemError("control_unreachable", `Cannot call ${url}${path}: no answer`, {
        cause,
        hint: "Check that the control service runs and that its address is right.",
        retryAfterMs: 1000,
      });
    } finally {
      clearTimeout(timer);
    }
    if (!response.ok) throw await remoteError(response, path);
    return response;
  }
}

async function remoteError(response: Response, path: string): Promise<Error> {
  const error = parseErrorBody(await response.text());
  if (error === undefined)
    return new SystemError("internal", `Cannot use the answer of ${path}: HTTP ${response.status}`);
  const retryAfter = Number(response.headers.get("retry-after"));
  const options = {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.details === undefined ? {} : { details: error.details }),
    ...(retryAfter > 0 ? { retryAfterMs: retryAfter * 1000 } : {}),
  };
  if (error.code in USER_ERRORS) return new UserError(error.code as UserErrorCode, error.message, options);
  if (error.code in SYSTEM_ERRORS)
    return new SystemError(error.code as SystemErrorCode, error.message, options);
  return new SystemError("internal", error.message, options);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
