/** Header names that rooms and clients share. All lower case. */
export const HEADERS = {
  /** Gateway or member → worker: proof that this request may run here (grant.ts). */
  grant: "x-manybase-grant",
  /** Member or gateway → `/v1/*`: proof of the caller (signature.ts). */
  signature: "x-manybase-signature",
  /** Optional tenant choice by id or slug, only where the operator allows it. */
  tenantId: "x-tenant-id",
  requestId: "x-request-id",
  /** Worker → gateway: nothing of the request ran, so that it may be sent again; never reaches the client. */
  notRun: "x-manybase-not-run",
  /** Worker → gateway: Content-Length of a streamed body, which Bun's server drops; never reaches the client. */
  bodyLength: "x-manybase-body-length",
  /** Response: the replication position that the answer observed, `data.db=17` (comma separated per database). */
  txid: "x-txid",
  /** Response: `1` when that position was durable before the answer left, `0` for async tenants. */
  durable: "x-durable",
  /** Response to a write whose fate is open: `unknown`. */
  commitState: "commit-state",
  /** Gateway → worker: the client's address as the gateway saw it. */
  forwardedFor: "x-forwarded-for",
  /** The same, under the other name that a tenant's `trustedProxy` setting may have. */
  realIp: "x-real-ip",
  /** Control → control: passed on to the leader already. */
  forwardedBy: "x-manybase-forwarded-by",
  forwardedProto: "x-forwarded-proto",
  forwardedHost: "x-forwarded-host",
  idempotencyKey: "idempotency-key",
} as const;
