/** `onlyDomains` and `exceptDomains`, shared by email and url fields; at most one of the two may be set. */
import type { Field } from "../../../shared/schema/collection.ts";
import { check, each, isDomain, mustBeEmpty } from "../rules.ts";
import { bool, textsOrNull } from "../shape.ts";
import { optionTexts, type OptionErrors } from "./field-type.ts";

export const domainOptions = { exceptDomains: textsOrNull, onlyDomains: textsOrNull, required: bool };

export function domainAllowed(field: Field, domain: string): boolean {
  const only = optionTexts(field, "onlyDomains");
  if (only.length > 0 && !only.includes(domain)) return false;
  return !optionTexts(field, "exceptDomains").includes(domain);
}

export function validateDomainOptions(field: Field): OptionErrors {
  const [only, except] = [optionTexts(field, "onlyDomains"), optionTexts(field, "exceptDomains")];
  return {
    exceptDomains: check(except, only.length > 0 ? mustBeEmpty : each(isDomain)),
    onlyDomains: check(only, except.length > 0 ? mustBeEmpty : each(isDomain)),
  };
}
