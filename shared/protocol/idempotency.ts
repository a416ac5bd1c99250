import { limits } from "../limits.ts";

/**
 * Whether a worker remembers, in the same transaction as the write, what it answered to this request's `Idempotency-Key`: then
 * the request may be sent again after a lost connection, and runs once. These are writes of records and batches of them.
 */
export function isRemembered(method: string, pathname: string, key: string | null): boolean {
  if (key === null || key === "" || key.length > limits.idempotencyKeyCharactersMax) return false;
  if (method === "POST") return pathname === "/api/batch" || RECORDS.test(pathname);
  return (method === "PATCH" || method === "DELETE") && RECORD.test(pathname);
}

const RECORDS = /^\/api\/collections\/[^/]+\/records$/;
const RECORD = /^\/api\/collections\/[^/]+\/records\/[^/]+$/;
