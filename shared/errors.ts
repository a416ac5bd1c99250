/**
 * Two closed sets of error codes: what a caller can cause, and what the system can suffer.
 * Text follows "Cannot <verb> <thing>: <state>". What PocketBase clients see is mapped in worker/ and stays as PocketBase says it.
 */

/** What a caller can cause, with the HTTP status that tells it. */
export const USER_ERRORS = {
  invalid_tenant_id: 400,
  invalid_slug: 400,
  invalid_domain: 400,
  reserved_slug: 400,
  invalid_database_name: 400,
  invalid_number: 400,
  invalid_body: 400,
  invalid_request: 400,
  invalid_host: 400,
  invalid_option: 400,
  invalid_directory: 400,
  invalid_import: 400,
  last_superuser: 400,
  mail_not_configured: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  point_not_found: 404,
  tenant_not_found: 404,
  worker_not_found: 404,
  method_not_allowed: 405,
  client_too_slow: 408,
  conflict: 409,
  slug_taken: 409,
  domain_taken: 409,
  domain_not_proved: 409,
  revision_compacted: 410,
  too_large: 413,
  not_owner: 421,
  tenant_suspended: 403,
  tenant_deleted: 404,
  clock_skewed: 409,
  idempotency_mismatch: 422,
  rate_limited: 429,
  storage_full: 507,
} as const;

/** What the system can suffer. Every one may pass by itself or names what an operator must do. */
export const SYSTEM_ERRORS = {
  control_unreachable: 503,
  control_no_leader: 503,
  control_state_unknown: 503,
  control_rolled_back: 503,
  no_worker: 503,
  worker_unreachable: 502,
  worker_lost: 502,
  worker_starting: 503,
  tenant_moving: 503,
  tenant_loading: 503,
  tenant_stopped: 503,
  domain_lookup_failed: 502,
  store_unavailable: 503,
  store_misbehaves: 500,
  store_missing: 503,
  commit_unknown: 503,
  fenced: 503,
  lease_expired: 503,
  object_corrupt: 500,
  object_version: 500,
  object_foreign: 500,
  chain_gap: 500,
  data_key_missing: 500,
  keys_not_configured: 500,
  key_refused: 500,
  key_service_unavailable: 503,
  tenant_missing: 500,
  wal_lost: 500,
  disk_full: 507,
  log_corrupt: 500,
  overloaded: 503,
  address_in_use: 500,
  internal: 500,
} as const;

export type UserErrorCode = keyof typeof USER_ERRORS;
export type SystemErrorCode = keyof typeof SYSTEM_ERRORS;

export interface ErrorOptions {
  /** What the reader can do about it, one sentence. */
  hint?: string;
  cause?: unknown;
  /** When it is worth asking again. */
  retryAfterMs?: number;
  /** Facts for machines (current epoch, field errors); never secrets. */
  details?: Record<string, unknown>;
}

abstract class CodedError<Code extends string> extends Error {
  readonly code: Code;
  readonly status: number;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly details: Record<string, unknown>;

  constructor(code: Code, status: number, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = status;
    this.hint = options.hint;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details ?? {};
  }
}

/** The caller can do something about it. */
export class UserError extends CodedError<UserErrorCode> {
  override readonly name = "UserError";
  constructor(code: UserErrorCode, message: string, options?: ErrorOptions) {
    super(code, USER_ERRORS[code], message, options);
  }
}

/** The platform suffers; the caller did nothing wrong. */
export class SystemError extends CodedError<SystemErrorCode> {
  override readonly name = "SystemError";
  constructor(code: SystemErrorCode, message: string, options?: ErrorOptions) {
    super(code, SYSTEM_ERRORS[code], message, options);
  }
}

/** The JSON body of every error outside the PocketBase API: `{error: {code, message, hint?, details?}}`. */
export interface ErrorBody {
  error: { code: string; message: string; hint?: string; details?: Record<string, unknown> };
}

/** Any thrown value as a JSON response. Unknown throws become `internal` without their text, which may hold secrets. */
export function errorResponse(error: unknown): Response {
  const known =
    error instanceof UserError || error instanceof SystemError
      ? error
      : new SystemError("internal", "Cannot answer this request: an internal error was logged");
  const body: ErrorBody = { error: { code: known.code, message: known.message } };
  if (known.hint !== undefined) body.error.hint = known.hint;
  if (Object.keys(known.details).length > 0) body.error.details = known.details;
  const headers = new Headers({ "content-type": "application/json" });
  if (known.retryAfterMs !== undefined) {
    headers.set("retry-after", String(Math.max(1, Math.ceil(known.retryAfterMs / 1000))));
  }
  return new Response(JSON.stringify(body) + "\n", { status: known.status, headers });
}

/** Reads what `errorResponse` wrote; undefined when the body is something else. */
export function parseErrorBody(text: string): ErrorBody["error"] | undefined {
  try {
    const parsed = JSON.parse(text) as Partial<ErrorBody>;
    return typeof parsed.error?.code === "string" && typeof parsed.error.message === "string"
      ? parsed.error
      : undefined;
  } catch {
    return undefined;
  }
}
