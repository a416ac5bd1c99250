/** Where a record signs in from: the last few origins are remembered, and a new one is told by mail. */
import { createHash } from "node:crypto";
import { limits } from "../../../shared/limits.ts";
import type { Collection } from "../../../shared/schema/collection.ts";
import type { Mailer } from "../../mail/mailer.ts";
import type { AuthOptions } from "../../model/collections/auth-options.ts";
import type { RecordData } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { Tenant } from "../../tenant/contract.ts";
import { inBackground, postRecordMail } from "./post.ts";

export async function noteOrigin(mailer: Mailer, context: PbContext, record: RecordData): Promise<void> {
  const { tenant, seen } = context;
  const model = modelOf(tenant);
  const origins = model.schema.find("_authOrigins");
  const { authAlert } = record.collection.options as AuthOptions;
  if (origins === undefined || !authAlert.enabled) return;
  const userAgent = (context.request.headers.get("user-agent") ?? "").slice(0, limits.userAgentCharactersMax);
  const fingerprint = createHash("md5")
    .update(context.clientIp + userAgent)
    .digest("hex");
  const isKnown = (db: SqlReader): boolean =>
    originsOf(tenant, db, origins, record).some(({ values }) => values["fingerprint"] === fingerprint);
  if (tenant.data.read(seen, isKnown)) return;
  const values = { collectionRef: record.collection.id, recordRef: record.id, fingerprint };
  const pending = model.bind(origins, undefined, values, new Map(), { allowHidden: true });
  await tenant.data.write(seen, (tx) => {
    if (isKnown(tx)) return;
    const known = originsOf(tenant, tx, origins, record);
    for (const old of known.slice(limits.authOriginsMax - 1)) model.remove(tx, old);
    model.save(tx, pending);
    if (known.length === 0 || record.values["email"] === "") return;
    const when = new Date().toISOString().replace("T", " ");
    const info = `${when} - ${context.clientIp} ${userAgent}`;
    tx.afterDurable(() =>
      inBackground(context, "a login alert", () =>
        postRecordMail(mailer, context, tenant.observe(), record, { kind: "login-alert", info }),
      ),
    );
  });
}

/** Newest first. */
function originsOf(tenant: Tenant, db: SqlReader, origins: Collection, record: RecordData): RecordData[] {
  const rows = db.all(
    "SELECT * FROM `_authOrigins` WHERE collectionRef = ? AND recordRef = ? ORDER BY created DESC, _rowid_ DESC",
    [record.collection.id, record.id],
  );
  return rows.map((row) => modelOf(tenant).fromRow(origins, row));
}
