import { currentRecord } from "../../auth/current-record.ts";
import { type RecordData, ValidationFailure } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { badRequest } from "../../pb/api-error.ts";
import type { PbContext } from "../../pb/route.ts";

/** Saves values that a proof (a token, a one-time password) entitles to. @throws ApiError 400 with `failure` */
export async function changeRecord(
  context: PbContext,
  record: RecordData,
  values: Readonly<Record<string, unknown>>,
  failure: string,
): Promise<RecordData> {
  const model = modelOf(context.tenant);
  const pending = model.bind(record.collection, record, values, new Map(), { allowHidden: true });
  try {
    model.validate(pending);
    await model.hashPasswords(pending);
    return await context.tenant.data.write(context.seen, (tx) => {
      // Of two that come at once with the same proof only one is good.
      if (currentRecord(context.tenant, tx, record) === undefined) throw badRequest(failure);
      return model.save(tx, pending);
    });
  } catch (error) {
    if (error instanceof ValidationFailure) throw badRequest(failure, error.data, error);
    throw error;
  }
}
