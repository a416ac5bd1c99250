/** Sending mails on behalf of requests whose answers must not tell whether there is anybody to send to. */
import { type Log, createLog } from "../../log.ts";
import { type Mailer, isMailRefusal } from "../../mail/mailer.ts";
import { type RecordMail, composeRecordMail } from "../../mail/record-mail.ts";
import { tenantSender } from "../../mail/sender.ts";
import type { RecordData } from "../../model/contract.ts";
import type { PbContext } from "../../pb/route.ts";
import { settingsOf } from "../../pb/settings.ts";
import type { Observation } from "../../tenant/contract.ts";

export const mailLog: Log = createLog("mail");

/** Queues a mail to a record, sent after all that `seen` has noted is durable. @throws as `Mailer.post` */
export function postRecordMail(
  mailer: Mailer,
  { tenant, origin }: PbContext,
  seen: Observation,
  record: RecordData,
  mail: RecordMail,
): void {
  const settings = settingsOf(tenant, seen);
  const composed = composeRecordMail(record, mail, settings, origin);
  mailer.post({ tenantId: tenant.id, sender: tenantSender(settings), ...composed }, (signal) =>
    seen.settled(signal),
  );
}

/** Whether anybody can send for the tenant; logged when not, for answers that must not tell. */
export function canSend(mailer: Mailer, { tenant, seen }: PbContext, what: string): boolean {
  try {
    mailer.requireSender(tenantSender(settingsOf(tenant, seen)));
    return true;
  } catch (error) {
    if (!isMailRefusal(error)) throw error;
    mailLog.error({ err: error, tenant: tenant.id }, `could not send ${what}`);
    return false;
  }
}

/** What fails here is logged: the answer is the same for all, and on its way. */
export function inBackground({ tenant }: PbContext, what: string, work: () => Promise<void> | void): void {
  const run = async (): Promise<void> => work();
  run().catch((error: unknown) => mailLog.error({ err: error, tenant: tenant.id }, `could not send ${what}`));
}
