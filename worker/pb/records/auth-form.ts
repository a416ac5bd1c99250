/** What PocketBase checks of a submitted auth record beyond its fields: who may change email, verified and password. */
import { toText } from "../../model/fields/cast.ts";
import { verifyPassword } from "../../model/records/passwords.ts";
import { type FieldError, type PendingRecord, ValidationFailure } from "../../model/contract.ts";

const REQUIRED: FieldError = { code: "validation_required", message: "Cannot be blank." };
const MISMATCH: FieldError = { code: "validation_values_mismatch", message: "Values don't match." };
const OLD_PASSWORD: FieldError = {
  code: "validation_invalid_old_password",
  message: "Missing or invalid old password.",
};

export interface AuthForm {
  password: string;
  passwordConfirm: string;
  oldPassword: string;
  /** Superuser or allowed by the manage rule. */
  canManage: boolean;
}

export function readAuthForm(input: Readonly<Record<string, unknown>>, canManage: boolean): AuthForm {
  return {
    password: text(input["password"]),
    passwordConfirm: text(input["passwordConfirm"]),
    oldPassword: text(input["oldPassword"]),
    canManage,
  };
}

/** Whether the old password has to be compared with its hash, which takes its time. */
export function needsOldPassword(pending: PendingRecord, form: AuthForm): boolean {
  return (
    pending.before !== undefined && !form.canManage && (form.password !== "" || form.passwordConfirm !== "")
  );
}

/** @throws ValidationFailure with all fields that are wrong; without awaiting unless an old password is to be compared */
export function checkAuthForm(pending: PendingRecord, form: AuthForm): void | Promise<void> {
  const errors = syncErrors(pending, form);
  if (!needsOldPassword(pending, form)) return fail(errors);
  if (form.oldPassword === "") return fail({ ...errors, oldPassword: REQUIRED });
  const hash = toText(pending.before?.values["password"]);
  return verifyPassword(form.oldPassword, hash, pending.collection).then((matches) =>
    fail(matches ? errors : { ...errors, oldPassword: OLD_PASSWORD }),
  );
}

function syncErrors(pending: PendingRecord, form: AuthForm): Record<string, FieldError> {
  const { before, values } = pending;
  const errors: Record<string, FieldError> = {};
  const isNew = before === undefined;
  if (!form.canManage) {
    if (!isNew && values["email"] !== before.values["email"]) errors["email"] = MISMATCH;
    if (Boolean(values["verified"]) !== Boolean(before?.values["verified"])) errors["verified"] = MISMATCH;
  }
  if (form.password === "" && (isNew || form.passwordConfirm !== "" || form.oldPassword !== "")) {
    errors["password"] = REQUIRED;
  }
  if (form.passwordConfirm === "" && (isNew || form.password !== "" || form.oldPassword !== "")) {
    errors["passwordConfirm"] = REQUIRED;
  } else if (form.passwordConfirm !== form.password) {
    errors["passwordConfirm"] = MISMATCH;
  }
  return errors;
}

function fail(errors: Record<string, FieldError>): void {
  if (Object.keys(errors).length > 0) throw new ValidationFailure(errors);
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}
