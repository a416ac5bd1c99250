import { modelOf } from "../../model/model.ts";
import { type RecordJson, enrichRecord } from "../../pb/records/enrich.ts";
import { type RecordScope, recordScope } from "../../pb/records/scope.ts";
import { type PreparedWrite, discard, needsSettling, save, settle } from "../../pb/records/write.ts";
import { writeWeighed } from "../../statements/weighed-work.ts";
import { type Once, once } from "../../pb/records/once.ts";
import type { BoundBody, PbContext } from "../../pb/route.ts";

/**
 * Prepares and saves in one transaction and one turn; a write that hashes or uploads is prepared first, settled without
 * the lock, then saved.
 */
export async function runWrite(
  context: PbContext,
  prepare: (scope: RecordScope) => PreparedWrite,
  body?: BoundBody,
  how: "write" | "writeTogether" = "write",
): Promise<RecordJson> {
  const { tenant, seen } = context;
  const model = modelOf(tenant);
  const expand = context.info.query["expand"];
  let waiting: PreparedWrite | undefined;
  const answers = once<RecordJson>(context, body);
  const json = await writeWeighed(
    tenant,
    seen,
    (db): { answer: RecordJson } | { write: PreparedWrite } =>
      answers.find(db) ?? { write: prepare(recordScope(db, model, context.info)) },
    (tx, checked) => {
      if ("answer" in checked) return checked.answer;
      const { write } = checked;
      if (needsSettling(write)) {
        waiting = write;
        return undefined;
      }
      const scope = recordScope(tx, model, context.info);
      const made = enrichRecord(scope, save(scope, tx, write, false), expand);
      answers.keep(tx, made);
      return made;
    },
    how,
  );
  if (json !== undefined) return json;
  if (waiting === undefined) throw new Error("Cannot save record: nothing was prepared");
  return saveSettled(context, waiting, expand, answers);
}

async function saveSettled(
  context: PbContext,
  write: PreparedWrite,
  expand: string | undefined,
  answers: Once<RecordJson>,
): Promise<RecordJson> {
  const { tenant, seen } = context;
  const model = modelOf(tenant);
  await settle(tenant, model, write, (check) => tenant.data.read(seen, check));
  try {
    const { before, json } = await tenant.data.write(seen, (tx) => {
      // The same request may have come again while this one settled.
      const known = answers.find(tx);
      if (known !== undefined) return { before: true, json: known.answer };
      const scope = recordScope(tx, model, context.info);
      const made = enrichRecord(scope, save(scope, tx, write, true), expand);
      answers.keep(tx, made);
      return { before: false, json: made };
    });
    if (before) await discard(tenant, write);
    return json;
  } catch (error) {
    await discard(tenant, write);
    throw error;
  }
}
