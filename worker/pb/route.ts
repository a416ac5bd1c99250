/** How a feature plugs into the PocketBase API of a tenant. */
import type { Observation, Tenant } from "../tenant/contract.ts";
import type { RecordData, UploadedFile } from "../model/contract.ts";
import type { Collection } from "../../shared/schema/collection.ts";
import type { RequestInfo } from "../query/contract.ts";

export interface FeatureRoute {
  method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** A Hono pattern: `/api/collections/:collection/records/:id`, `*` for a tail. HEAD is served by GET routes. */
  path: string;
  /** Throws ApiError, ValidationFailure, FilterError, UserError or SystemError: the frame answers in PocketBase's shape. */
  handle(context: PbContext): Promise<Response> | Response;
  /** Actions that rate limits of a collection name (`posts:create`, `*:auth`); the collection is the path's. */
  actions?: readonly string[];
  /** Largest accepted body; default `limits.requestBodyBytesMax`. */
  bodyBytesMax?: number;
}

/** The request's body: JSON, multipart or urlencoded, values of the latter two inferred as PocketBase does. */
export interface BoundBody {
  readonly values: Readonly<Record<string, unknown>>;
  /** Multipart files by form key, in order. */
  readonly files: ReadonlyMap<string, readonly UploadedFile[]>;
  /** For files that wait on disk: the frame calls it when the request has been answered. */
  discard?(): Promise<void>;
}

/** Who asks: the record of a valid token. */
export interface AuthState {
  readonly record: RecordData;
  readonly collection: Collection;
  readonly isSuperuser: boolean;
  /** The token itself and whether auth-refresh may renew it. */
  readonly token: string;
  readonly refreshable: boolean;
}

export interface PbContext {
  readonly tenant: Tenant;
  readonly seen: Observation;
  readonly request: Request;
  readonly url: URL;
  /** The raw, percent-encoded path of the URL. */
  readonly path: string;
  /** Decoded path parameters of the pattern; `*` is the tail without a leading slash. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The first value of each query parameter. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly clientIp: string;
  /** The base URL that the client used. */
  readonly origin: string;
  /** Undefined for guests; an invalid token is a guest. */
  readonly auth: AuthState | undefined;
  /** What rules see as `@request.*`; `body` holds the values once `body()` has resolved. */
  readonly info: RequestInfo;
  /** Parses once; `bytesMax` replaces the route's limit. @throws ApiError 400 for an unreadable body, 413 for a too large one */
  body(bytesMax?: number): Promise<BoundBody>;
  /** @throws ApiError 401 for guests, 403 for other records */
  requireSuperuser(): AuthState;
  /** @throws ApiError 401 for guests */
  requireAuth(): AuthState;
  /** Encodes as Go does and applies `?fields=` to 2xx answers. Key order is the value's own. */
  json(status: number, value: unknown): Response;
  noContent(): Response;
}
