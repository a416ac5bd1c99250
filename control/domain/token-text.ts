import { randomText } from "../../shared/ids.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** What an operator token looks like; the prefix lets secret scanners find one that leaked. */
export const OPERATOR_TOKEN = /^mbo_[A-Za-z0-9]{40}$/;

export function newOperatorToken(randomBytes: (length: number) => Uint8Array): string {
  return `mbo_${randomText(40, ALPHABET, randomBytes)}`;
}
