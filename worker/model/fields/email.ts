import { fieldError } from "../field-error.ts";
import { cannotBeBlank, looksLikeEmail } from "../rules.ts";
import { toText } from "./cast.ts";
import { domainAllowed, domainOptions, validateDomainOptions } from "./domains.ts";
import { flag, type FieldType } from "./field-type.ts";

export const emailField: FieldType = {
  type: "email",
  options: domainOptions,
  column: () => "TEXT DEFAULT '' NOT NULL",
  normalise: (_, raw) => toText(raw),
  fromColumn: (_, stored) => toText(stored),
  toColumn: (_, value) => toText(value),
  validate(field, value) {
    const address = toText(value);
    if (address === "") return flag(field, "required") ? cannotBeBlank : undefined;
    if (!looksLikeEmail(address)) return fieldError("validation_is_email", "Must be a valid email address.");
    return domainAllowed(field, address.slice(address.lastIndexOf("@") + 1))
      ? undefined
      : fieldError("validation_email_domain_not_allowed", "Email domain is not allowed.");
  },
  validateOptions: validateDomainOptions,
};
