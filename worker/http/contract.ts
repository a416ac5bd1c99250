/**
 * How the worker's HTTP server hands a request to the PocketBase application, and how that answers.
 * The server has checked the grant and loaded the tenant; it awaits `seen.settled()` and adds its headers before the
 * response's head leaves, also for errors. A streaming feature (realtime) gates each message by itself.
 */
import type { Observation, Tenant } from "../tenant/contract.ts";

export interface TenantRequest {
  request: Request;
  tenant: Tenant;
  seen: Observation;
  /** The client's address as the gateway saw it. */
  clientIp: string;
  /** The base URL that the client used, e.g. `https://acme.example.com`. */
  origin: string;
  requestId: string;
}

/** worker/app.ts exports one of these: the whole PocketBase API of a tenant. Never throws: errors are responses. */
export type TenantApp = (context: TenantRequest) => Promise<Response> | Response;
