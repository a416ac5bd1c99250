import { fieldError } from "../field-error.ts";
import { cannotBeBlank, looksLikeUrl } from "../rules.ts";
import { toText } from "./cast.ts";
import { domainAllowed, domainOptions, validateDomainOptions } from "./domains.ts";
import { flag, type FieldType } from "./field-type.ts";

export const urlField: FieldType = {
  type: "url",
  options: domainOptions,
  column: () => "TEXT DEFAULT '' NOT NULL",
  normalise: (_, raw) => toText(raw),
  fromColumn: (_, stored) => toText(stored),
  toColumn: (_, value) => toText(value),
  validate(field, value) {
    const address = toText(value);
    if (address === "") return flag(field, "required") ? cannotBeBlank : undefined;
    if (!looksLikeUrl(address)) return fieldError("validation_invalid_url", "Must be a valid url.");
    return domainAllowed(field, hostOf(address))
      ? undefined
      : fieldError("validation_url_domain_not_allowed", "Url domain is not allowed.");
  },
  validateOptions: validateDomainOptions,
};

/** Host with port as it stands in the text; "" without a scheme, because then all of it is a path. */
function hostOf(address: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#]*)/i.exec(address)?.[1] ?? "";
}
