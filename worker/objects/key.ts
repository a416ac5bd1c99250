import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

const UTF8 = new TextEncoder();
const FORBIDDEN = /\p{Cc}/u;

/**
 * Keys are built from parsed ids, so a key outside the contract's alphabet is a defect of the caller.
 * @throws SystemError `internal`
 */
export function checkKey(key: string): void {
  const fault = keyFault(key);
  if (fault !== undefined) {
    throw new SystemError("internal", `Cannot use object key ${JSON.stringify(key.slice(0, 80))}: ${fault}`);
  }
}

function keyFault(key: string): string | undefined {
  if (key === "") return "it is empty";
  if (!key.isWellFormed()) return "it is not Unicode";
  if (FORBIDDEN.test(key)) return "it has control characters";
  if (UTF8.encode(key).length > limits.storeKeyBytesMax)
    return `it has more than ${limits.storeKeyBytesMax} bytes`;
  const odd = key.split("/").find((segment) => segment === "" || segment === "." || segment === "..");
  return odd === undefined ? undefined : `it has a segment ${JSON.stringify(odd)}`;
}

/**
 * The order of the keys' UTF-8 bytes, which is the order of code points. UTF-16 differs only where a surrogate
 * meets U+E000..U+FFFF.
 */
export function compareKeys(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at++) {
    const unitA = a.charCodeAt(at);
    const unitB = b.charCodeAt(at);
    if (unitA !== unitB) return rank(unitA) - rank(unitB);
  }
  return a.length - b.length;
}

function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
