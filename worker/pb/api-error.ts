/**
 * What a PocketBase client is told when a request fails: `{"data":{…},"message":"…","status":N}`.
 * Thrown anywhere below the frame; `worker/pb/error-response.ts` writes it.
 */

/** Field errors (`{code, message, params?}`), nested for batches, or whatever a feature reports in `data`. */
export type ApiErrorData = Readonly<Record<string, unknown>>;

/** What is said where nothing more may be, or can. */
export const GENERIC = "Something went wrong while processing your request.";

export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly data: ApiErrorData;
  readonly headers: Readonly<Record<string, string>>;

  /** `message` is written as a sentence: first letter upper case, a final dot. */
  constructor(
    status: number,
    message: string,
    data: ApiErrorData = {},
    options: { cause?: unknown; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(sentence(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.status = status;
    this.data = data;
    this.headers = options.headers ?? {};
  }
}

export const badRequest = (message = "", data?: ApiErrorData, cause?: unknown): ApiError =>
  new ApiError(400, message === "" ? GENERIC : message, data, { cause });

export const unauthorized = (message = ""): ApiError =>
  new ApiError(401, message === "" ? "The request requires valid record authorization token." : message);

export const forbidden = (message = "", data?: ApiErrorData, cause?: unknown): ApiError =>
  new ApiError(403, message === "" ? "You are not allowed to perform this request." : message, data, {
    cause,
  });

export const notFound = (message = "", cause?: unknown): ApiError =>
  new ApiError(404, message === "" ? "The requested resource wasn't found." : message, {}, { cause });

/** For a record, or whatever else is found by its name, that is not there. */
export const notThere = (message = ""): ApiError =>
  notFound(message, new Reason("sql: no rows in result set"));

export const tooManyRequests = (message = "", cause?: unknown): ApiError =>
  new ApiError(429, message === "" ? "Too Many Requests." : message, {}, { cause });

export const internalError = (cause?: unknown): ApiError => new ApiError(500, GENERIC, {}, { cause });

/** Why something was refused, in PocketBase's words: a cause that is expected, for the tenant's logs alone. */
export class Reason extends Error {
  override readonly name = "Reason";
}

function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === "") return trimmed;
  const first = String.fromCodePoint(trimmed.codePointAt(0) ?? 0);
  const upper = first.toUpperCase() + trimmed.slice(first.length);
  return /[.?!]$/.test(upper) ? upper : `${upper}.`;
}
