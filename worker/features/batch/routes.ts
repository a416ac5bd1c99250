/** `POST /api/batch`: several record writes in one transaction, all or none. */
import { limits } from "../../../shared/limits.ts";
import { type ApiError, badRequest, forbidden } from "../../pb/api-error.ts";
import { errorBody, toApiError } from "../../pb/error-response.ts";
import { once } from "../../pb/records/once.ts";
import { type PreparedWrite, discard } from "../../pb/records/write.ts";
import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import { settingsGroup, settingsOf } from "../../pb/settings.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import { type BatchItem, parseBatch } from "./parse.ts";
import { type ItemResult, runItem } from "./run-item.ts";

export const batchRoutes: readonly FeatureRoute[] = [{ method: "POST", path: "/api/batch", handle: batch }];

const FAILED = "Batch transaction failed.";

async function batch(context: PbContext): Promise<Response> {
  const { tenant, seen } = context;
  const options = settingsGroup(settingsOf(tenant, seen), "batch");
  const requestsMax = Number(options["maxRequests"] ?? 0);
  if (options["enabled"] !== true || requestsMax <= 0) throw forbidden("Batch requests are not allowed.");
  const body = await readBody(context, positive(options["maxBodySize"], limits.batchBodyBytesMax));
  const items = parseBatch(body, requestsMax);
  const answers = once<ItemResult[]>(context, body);
  const timeoutMs = positive(Number(options["timeout"] ?? 0) * 1000, limits.batchTimeoutMsDefault);
  const writes: PreparedWrite[] = [];
  try {
    const results = await tenant.data.write(seen, (tx) => {
      const before = answers.find(tx);
      if (before !== undefined) return before.answer;
      const made = runFrom(context, tx, items, 0, [], writes, performance.now() + timeoutMs);
      const keep = (all: ItemResult[]): ItemResult[] => {
        answers.keep(tx, all);
        return all;
      };
      return made instanceof Promise ? made.then(keep) : keep(made);
    });
    return context.json(200, results);
  } catch (error) {
    await Promise.all(writes.map((write) => discard(tenant, write)));
    throw error;
  }
}

async function readBody(context: PbContext, bytesMax: number) {
  try {
    return await context.body(bytesMax);
  } catch (error) {
    const known = toApiError(error);
    throw known?.status === 413
      ? known
      : badRequest("Failed to read the submitted batch data.", undefined, error);
  }
}

/** In one turn, unless an item has to wait for hashing or uploads. */
function runFrom(
  context: PbContext,
  tx: WriteTransaction,
  items: readonly BatchItem[],
  start: number,
  results: ItemResult[],
  writes: PreparedWrite[],
  deadlineMs: number,
): ItemResult[] | Promise<ItemResult[]> {
  for (let index = start; index < items.length; index++) {
    const item = items[index];
    if (item === undefined) break;
    if (performance.now() > deadlineMs) throw badRequest(FAILED);
    try {
      const result = runItem(context, tx, item, (write) => writes.push(write));
      if (result instanceof Promise) {
        return result.then(
          (settled) => runFrom(context, tx, items, index + 1, [...results, settled], writes, deadlineMs),
          (error: unknown) => {
            throw itemFailure(index, error);
          },
        );
      }
      results.push(result);
    } catch (error) {
      throw itemFailure(index, error);
    }
  }
  return results;
}

function itemFailure(index: number, error: unknown): ApiError {
  const response = toApiError(error) ?? badRequest("", undefined, error);
  if (response.status >= 500) return response;
  const failed = {
    code: "batch_request_failed",
    message: "Batch request failed.",
    response: errorBody(response),
  };
  return badRequest(FAILED, { requests: { [index]: failed } }, error);
}

function positive(value: unknown, fallback: number): number {
  return typeof value === "number" && value > 0 ? value : fallback;
}
