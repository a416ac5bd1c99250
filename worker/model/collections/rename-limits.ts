import type { WriteTransaction } from "../../tenant/contract.ts";
import { isPlainObject } from "../shape.ts";

/** Rate limits of the settings name collections (`posts:create`): they follow a rename. */
export function renameInRateLimits(tx: WriteTransaction, from: string, to: string): void {
  const stored = tx.get<{ value: Uint8Array | string | null }>(
    "SELECT value FROM `_params` WHERE id = 'settings'",
  )?.value;
  const settings = parse(stored instanceof Uint8Array ? new TextDecoder().decode(stored) : (stored ?? ""));
  const limits = settings?.["rateLimits"];
  const rules: unknown = isPlainObject(limits) ? limits["rules"] : undefined;
  if (!Array.isArray(rules)) return;
  let changed = false;
  for (const rule of rules as unknown[]) {
    if (!isPlainObject(rule) || typeof rule["label"] !== "string" || !rule["label"].startsWith(`${from}:`))
      continue;
    rule["label"] = to + rule["label"].slice(from.length);
    changed = true;
  }
  if (!changed) return;
  tx.run("UPDATE `_params` SET value = ? WHERE id = 'settings'", [
    new TextEncoder().encode(JSON.stringify(settings)),
  ]);
}

/** Undefined for settings that are encrypted with a key of the old installation. */
function parse(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return isPlainObject(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}
