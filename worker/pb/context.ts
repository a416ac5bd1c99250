import { limits } from "../../shared/limits.ts";
import type { TenantRequest } from "../http/contract.ts";
import type { RequestInfo } from "../query/contract.ts";
import type { Observation, Tenant } from "../tenant/contract.ts";
import { ApiError, unauthorized } from "./api-error.ts";
import { bindBody } from "./body.ts";
import { commonHeaders } from "./common-headers.ts";
import { encodeGo } from "./go-json.ts";
import { firstOfSearch, parseQuery } from "./parse-query.ts";
import { UnusableFields, pickFields } from "./pick-fields.ts";
import { buildRequestInfo } from "./request-info.ts";
import type { AuthState, BoundBody, PbContext } from "./route.ts";
import type { SplitUrl } from "./split-url.ts";

const OWN_JSON = commonHeaders(false);
const FOREIGN_JSON = commonHeaders(true);
for (const headers of [OWN_JSON, FOREIGN_JSON]) headers.set("content-type", "application/json");

const NONE: Readonly<Record<string, string>> = {};

/** One request; what costs is computed when first asked for. */
export class RequestContextState implements PbContext {
  readonly tenant: Tenant;
  readonly seen: Observation;
  readonly request: Request;
  readonly path: string;
  readonly #search: string;
  #query: URLSearchParams | undefined;
  #url: URL | undefined;
  readonly params: Readonly<Record<string, string>>;
  readonly clientIp: string;
  readonly origin: string;
  readonly auth: AuthState | undefined;
  readonly #bodyBytesMax: number;
  #bound: Promise<BoundBody> | undefined;
  #values: Readonly<Record<string, unknown>> = {};
  #info: RequestInfo | undefined;
  #parameters: Readonly<Record<string, string>> | undefined;

  constructor(
    from: TenantRequest,
    { path, search }: SplitUrl,
    params: Readonly<Record<string, string>>,
    auth: AuthState | undefined,
    bodyBytesMax: number = limits.requestBodyBytesMax,
  ) {
    this.tenant = from.tenant;
    this.seen = from.seen;
    this.request = from.request;
    this.clientIp = from.clientIp;
    this.origin = from.origin;
    this.path = path;
    this.#search = search;
    this.params = params;
    this.auth = auth;
    this.#bodyBytesMax = bodyBytesMax;
  }

  get url(): URL {
    this.#url ??= new URL(this.request.url);
    return this.#url;
  }

  get query(): URLSearchParams {
    this.#query ??= parseQuery(this.#search);
    return this.#query;
  }

  get parameters(): Readonly<Record<string, string>> {
    this.#parameters ??= this.#search === "" ? NONE : firstOfSearch(this.#search);
    return this.#parameters;
  }

  get info(): RequestInfo {
    this.#info ??= buildRequestInfo(this.request, () => this.parameters, this.auth, this.#values);
    return this.#info;
  }

  body(bytesMax = this.#bodyBytesMax): Promise<BoundBody> {
    this.#bound ??= bindBody(this.request, bytesMax, this.tenant.temporary).then((bound) => {
      this.#values = bound.values;
      this.#info = undefined;
      return bound;
    });
    return this.#bound;
  }

  /** The request is answered: nothing of its body is needed any more. */
  async discard(): Promise<void> {
    const bound = await this.#bound?.catch(() => undefined);
    await bound?.discard?.();
  }

  requireAuth(): AuthState {
    if (this.auth === undefined) throw unauthorized();
    return this.auth;
  }

  requireSuperuser(): AuthState {
    const auth = this.requireAuth();
    if (!auth.isSuperuser) {
      throw new ApiError(403, "The authorized record is not allowed to perform this action.");
    }
    return auth;
  }

  json(status: number, value: unknown): Response {
    const fields = status >= 200 && status < 300 ? (this.parameters["fields"] ?? "") : "";
    const isForeign = Boolean(this.request.headers.get("origin"));
    return new Response(fields === "" ? encodeGo(value) : encodePicked(value, fields), {
      status,
      headers: isForeign ? FOREIGN_JSON : OWN_JSON,
    });
  }

  noContent(): Response {
    return new Response(null, { status: 204 });
  }
}

function encodePicked(value: unknown, fields: string): string {
  try {
    return encodeGo(pickFields(value, fields));
  } catch (error) {
    if (error instanceof UnusableFields) return "";
    throw error;
  }
}
