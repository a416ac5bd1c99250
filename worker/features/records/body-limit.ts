import { limits } from "../../../shared/limits.ts";
import type { Collection } from "../../../shared/schema/collection.ts";

const DEFAULT_BYTES: Readonly<Record<string, number>> = { file: 5 << 20, json: 1 << 20, editor: 5 << 20 };

/** PocketBase's body limit of a collection: its default, and room for what its large fields may hold. */
export function bodyLimitOf(collection: Collection): number {
  let bytes: number = limits.requestBodyBytesMax;
  for (const field of collection.fields) {
    const fallback = DEFAULT_BYTES[field.type];
    if (fallback === undefined) continue;
    const each = Number(field["maxSize"] ?? 0);
    const count = field.type === "file" ? Math.max(1, Number(field["maxSelect"] ?? 1)) : 1;
    bytes += (each > 0 ? each : fallback) * count;
  }
  return bytes;
}
