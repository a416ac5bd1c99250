import { modelOf } from "../../model/model.ts";
import { type RecordJson, enrichRecord } from "../../pb/records/enrich.ts";
import { type RecordScope, recordScope } from "../../pb/records/scope.ts";
import { type PreparedWrite, discard, needsSettling, save, settle } from "../../pb/records/write.ts";
import type { PbContext } from "../../pb/route.ts";

/**
 * Prepares and saves in one transaction and one turn; a write that hashes or uploads is prepared first, settled without
 * the lock, then saved.
 */
export async function runWrite(
  context: PbContext,
  prepare: (scope: RecordScope) => PreparedWrite,
): Promise<RecordJson> {
  const { tenant, seen } = context;
  const model = modelOf(tenant);
  const expand = context.info.query["expand"];
  let waiting: PreparedWrite | undefined;
  const json = await tenant.data.write(seen, (tx) => {
    const scope = recordScope(tx, model, context.info);
    const write = prepare(scope);
    if (needsSettling(write)) {
      waiting = write;
      return undefined;
    }
    return enrichRecord(scope, save(scope, tx, write, false), expand);
  });
  if (json !== undefined) return json;
  if (waiting === undefined) throw new Error("Cannot save record: nothing was prepared");
  return saveSettled(context, waiting, expand);
}

async function saveSettled(
  context: PbContext,
  write: PreparedWrite,
  expand: string | undefined,
): Promise<RecordJson> {
  const { tenant, seen } = context;
  const model = modelOf(tenant);
  await settle(tenant, model, write, (check) => tenant.data.read(seen, check));
  try {
    return await tenant.data.write(seen, (tx) => {
      const scope = recordScope(tx, model, context.info);
      return enrichRecord(scope, save(scope, tx, write, true), expand);
    });
  } catch (error) {
    await discard(tenant, write);
    throw error;
  }
}
