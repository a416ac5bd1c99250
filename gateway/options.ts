import { UserError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import type { Rate } from "./proxy/rate-limits.ts";

/** Options of the gateway as a process. */
export const OPTIONS = {
  listen: {
    value: "<host:port>",
    env: "MANYBASE_GATEWAY_LISTEN",
    default: "127.0.0.1:8080",
    help: "Where clients connect; port 0 takes a free one.",
  },
  control: {
    value: "<urls>",
    env: "MANYBASE_CONTROL_URL",
    default: "http://127.0.0.1:7400",
    help: "The control service; several replicas separated by commas.",
  },
  domain: {
    value: "<name>",
    env: "MANYBASE_DOMAIN",
    default: "localhost",
    help: "Tenants are <slug>.<name>.",
  },
  data: {
    value: "<dir>",
    env: "MANYBASE_DATA",
    default: "./data",
    help: "The key is read from <dir>/keys/gateway.key, unless MANYBASE_GATEWAY_KEY is set; <dir>/gateway keeps a copy of the routes.",
  },
  "access-log": {
    value: "<level>",
    env: "MANYBASE_GATEWAY_ACCESS_LOG",
    default: "off",
    help: "JSON lines on standard error: off, errors (5xx) or all.",
  },
  metrics: {
    value: "<host:port>",
    env: "MANYBASE_GATEWAY_METRICS",
    help: "Answer Prometheus at /metrics there; keep it private. Off without.",
  },
  "tenant-rate": {
    value: "<n>",
    env: "MANYBASE_GATEWAY_TENANT_RATE",
    default: String(limits.tenantRequestsPerSecond),
    help: "Requests per second of one application, and twice that at once; 0 for no limit.",
  },
  "client-rate": {
    value: "<n>",
    env: "MANYBASE_GATEWAY_CLIENT_RATE",
    default: String(limits.clientRequestsPerSecond),
    help: "Requests per second of one address (IPv6: /64), and four times that at once; loopback is free; 0 for no limit.",
  },
  "tenant-requests": {
    value: "<n>",
    env: "MANYBASE_GATEWAY_TENANT_REQUESTS",
    default: String(limits.turnsPerTenantMax),
    help: "Requests of one application at its worker at a time; more wait their turn.",
  },
  "body-bytes": {
    value: "<n>",
    env: "MANYBASE_GATEWAY_BODY_BYTES",
    default: String(limits.importBytesMax),
    help: "The largest request body.",
  },
  threads: {
    value: "<n>",
    env: "MANYBASE_GATEWAY_THREADS",
    default: "1",
    help: "Threads that serve, each its share of the connections; rates and bounds are divided among them, to at least 1 each.",
  },
  "client-wait": {
    value: "<seconds>",
    env: "MANYBASE_GATEWAY_CLIENT_WAIT",
    default: String(limits.bodyWaitMsMax / 1000),
    help: "How long a client may keep us waiting for its head (12 at most), for its body, or for reading our answer; what it moves earns it more.",
  },
  "trusted-proxies": {
    value: "<networks>",
    env: "MANYBASE_GATEWAY_TRUSTED_PROXIES",
    help: "Proxies in front whose x-forwarded-for and -proto count, e.g. 127.0.0.1,10.0.0.0/8. None without.",
  },
  dashboards: {
    value: "<dir>",
    env: "MANYBASE_GATEWAY_DASHBOARDS",
    help: "The dashboards' built files, in its folders operators, customers and tenant. Read at start.",
  },
  "allow-tenant-header": {
    env: "MANYBASE_GATEWAY_ALLOW_TENANT_HEADER",
    help: "Let x-tenant-id (id or slug) name the application on hosts that name none.",
  },
};

/** Every environment variable that the gateway reads. */
export const VARIABLES: readonly string[] = [
  ...Object.values(OPTIONS).map(({ env }) => env),
  "MANYBASE_GATEWAY_KEY",
  "MANYBASE_SUPERVISED",
];

/** @throws UserError `invalid_option` */
export function parseCount(text: string | undefined, name: string, min: number): number {
  const value = Number(text);
  if (text === undefined || !/^[0-9]{1,15}$/.test(text) || value < min) {
    throw new UserError(
      "invalid_option",
      `Cannot read ${name}: ${JSON.stringify(text)} is not a whole number from ${min}`,
    );
  }
  return value;
}

/** 0 is no limit. */
export function parseRate(text: string | undefined, name: string, bursts: number): Rate | undefined {
  const perSecond = parseCount(text, name, 0);
  return perSecond === 0 ? undefined : { perSecond, burst: perSecond * bursts };
}
