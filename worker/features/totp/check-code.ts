import { limits } from "../../../shared/limits.ts";
import type { RecordData } from "../../model/contract.ts";
import { tooManyRequests } from "../../pb/api-error.ts";
import type { FixedWindows } from "../../pb/fixed-windows.ts";
import { validationFailed } from "../../pb/form-body.ts";
import { carriedWindows } from "../../state/carried-windows.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";
import { type TotpCredential, takeBackupCode, takeTotp } from "./credential.ts";

/** Tenant slot: tries by record, wherever they come from. */
const tries = { create: (tenant: Tenant): FixedWindows => carriedWindows(tenant, "totp-tries") };

/** Before a code is looked at. @throws ApiError 429 */
export function countTry(tenant: Tenant, { collection, id }: RecordData): void {
  const isFree = tenant
    .slot(tries)
    .take(`${collection.id}/${id}`, limits.totpTriesMax, limits.totpTriesWindowMs, Date.now());
  if (!isFree) throw tooManyRequests("Too many attempts, please try again later.");
}

/** Takes a code of the app or a backup code. @throws ApiError 400 */
export function takeCode(
  tx: WriteTransaction,
  record: RecordData,
  credential: TotpCredential,
  code: string,
): void {
  if (takeTotp(tx, record, credential, code, Date.now()) || takeBackupCode(tx, record, code)) return;
  throw wrongCode();
}

export function wrongCode() {
  return validationFailed({ code: { code: "validation_invalid_code", message: "Invalid or expired code." } });
}
