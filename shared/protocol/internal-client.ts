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
import { HEADERS } from "./headers.ts";
import type { Keyring } from "./keys.ts";
import { signCall } from "./signature.ts";

export interface InternalClientOptions {
  /** Base URL of a room's `/v1` listener. */
  url: string;
  keys: Keyring;
  /** Per call, besides the caller's signal. */
  timeoutMs: number;
  fetch?: typeof fetch;
  nowMs?: () => number;
}

/**
 * Signed JSON calls between rooms. The other side's errors come back as the same UserError or SystemError; no answer at all
 * is SystemError `control_unreachable`, and the call may or may not have happened.
 */
export class InternalClient {
  readonly url: string;
  readonly #options: InternalClientOptions;

  constructor(options: InternalClientOptions) {
    this.url = options.url.replace(/\/$/, "");
    this.#options = options;
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
    const { keys, fetch: send = fetch, nowMs = Date.now } = this.#options;
    const bytes = body === undefined ? new Uint8Array() : new TextEncoder().encode(JSON.stringify(body));
    let response: Response;
    try {
      response = await send(this.url + path, {
        method,
        headers: {
          [HEADERS.signature]: signCall(keys, method, path, bytes, nowMs()),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: bytes }),
        signal,
      });
    } catch (cause) {
      throw new SystemError("control_unreachable", `Cannot call ${this.url}${path}: no answer`, {
        cause,
        hint: "Check that the control service runs and that its address is right.",
        retryAfterMs: 1000,
      });
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
