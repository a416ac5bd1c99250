import { limits } from "../../shared/limits.ts";
import type { TenantRequest } from "../http/contract.ts";
import type { RequestInfo } from "../query/contract.ts";
import type { Observation, Tenant } from "../tenant/contract.ts";
import { ApiError, unauthorized } from "./api-error.ts";
import { bindBody } from "./body.ts";
import { encodeGo } from "./go-json.ts";
import { pickFields } from "./pick-fields.ts";
import { buildRequestInfo, firstValues } from "./request-info.ts";
import type { AuthState, BoundBody, PbContext } from "./route.ts";

const NONE: Readonly<Record<string, string>> = {};

/** One request; what costs is computed when first asked for. */
export class RequestContextState implements PbContext {
  readonly tenant: Tenant;
  readonly seen: Observation;
  readonly request: Request;
  readonly url: URL;
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
    url: URL,
    params: Readonly<Record<string, string>>,
    auth: AuthState | undefined,
    bodyBytesMax: number = limits.requestBodyBytesMax,
  ) {
    this.tenant = from.tenant;
    this.seen = from.seen;
    this.request = from.request;
    this.clientIp = from.clientIp;
    this.origin = from.origin;
    this.url = url;
    this.params = params;
    this.auth = auth;
    this.#bodyBytesMax = bodyBytesMax;
  }

  get query(): URLSearchParams {
    return this.url.searchParams;
  }

  get parameters(): Readonly<Record<string, string>> {
    this.#parameters ??= this.url.search === "" ? NONE : firstValues(this.query);
    return this.#parameters;
  }

  get info(): RequestInfo {
    this.#info ??= buildRequestInfo(this.request, () => this.parameters, this.auth, this.#values);
    return this.#info;
  }

  body(bytesMax = this.#bodyBytesMax): Promise<BoundBody> {
    this.#bound ??= bindBody(this.request, bytesMax).then((bound) => {
      this.#values = bound.values;
      this.#info = undefined;
      return bound;
    });
    return this.#bound;
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
    const shown = fields === "" ? value : pickFields(value, fields);
    return new Response(encodeGo(shown), { status, headers: { "content-type": "application/json" } });
  }

  noContent(): Response {
    return new Response(null, { status: 204 });
  }
}
