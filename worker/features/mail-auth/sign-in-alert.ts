/**
 * Where a record signs in from: the last few origins are remembered, and a new one is told by mail. One that could not be told is
 * not remembered, so that the next sign-in from there is told.
 */
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
import { canSend, inBackground, postRecordMail } from "./post.ts";

export async function noteOrigin(mailer: Mailer, context: PbContext, record: RecordData): Promise<void> {
  const { tenant, seen } = context;
  const model = modelOf(tenant);
  const origins = model.schema.find("_authOrigins");
  const { authAlert } = record.collection.options as AuthOptions;
  if (origins === undefined || !authAlert.enabled) return;
  // A header's characters are its bytes.
  const userAgent = cut(context.request.headers.get("user-agent") ?? "", limits.userAgentBytesMax);
  const fingerprint = createHash("md5")
    .update(context.clientIp + userAgent, "latin1")
    .digest("hex");
  const ofThisOrigin = ({ values }: RecordData): boolean => values["fingerprint"] === fingerprint;
  const before = tenant.data.read(seen, (db) => originsOf(tenant, db, origins, record));
  const known = before.find(ofThisOrigin);
  if (known !== undefined) return touch(tenant, known);
  const isTold = before.length > 0 && record.values["email"] !== "";
  if (isTold && !canSend(mailer, context, "a login alert")) return;
  const values = { collectionRef: record.collection.id, recordRef: record.id, fingerprint };
  const pending = model.bind(origins, undefined, values, new Map(), { allowHidden: true });
  await tenant.data.write(seen, (tx) => {
    const current = originsOf(tenant, tx, origins, record);
    if (current.some(ofThisOrigin)) return;
    for (const old of current.slice(limits.authOriginsMax - 1)) model.remove(tx, old);
    model.save(tx, pending);
    if (!isTold) return;
    const when = new Date().toISOString().replace("T", " ");
    const info = `${when} - ${context.clientIp} ${userAgent}`;
    tx.afterDurable(() =>
      inBackground(context, "a login alert", () =>
        postRecordMail(mailer, context, tenant.observe(), record, { kind: "login-alert", info }),
      ),
    );
  });
}

/** As PocketBase does it, so that an import's origins are known again. */
const cut = (text: string, max: number): string => (text.length > max ? `${text.slice(0, max)}...` : text);

/** When it was last used. The answer need not wait until that is durable. */
async function touch(tenant: Tenant, origin: RecordData): Promise<void> {
  const model = modelOf(tenant);
  const pending = model.bind(origin.collection, origin, {}, new Map(), { allowHidden: true });
  await tenant.data.write(tenant.observe(), (tx) => {
    if (model.find(tx, origin.collection, origin.id) !== undefined) model.save(tx, pending);
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
