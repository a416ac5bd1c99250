/** Reading JSON of unknown shape. */

export type JsonObject = Readonly<Record<string, unknown>>;

export function asObject(value: unknown): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

/** `a.b.0.c`; undefined when there is no such thing. */
export function at(value: unknown, path: string): unknown {
  let found = value;
  for (const key of path.split(".")) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string, unknown>)[key];
  }
  return found;
}

/** Texts, numbers and booleans as text; "" for the rest. */
export function textAt(value: unknown, path: string): string {
  const found = at(value, path);
  if (typeof found === "string") return found;
  return typeof found === "number" || typeof found === "boolean" ? String(found) : "";
}

/** As lenient as providers are: true, "true", 1, "1". */
export function isTrueAt(value: unknown, path: string): boolean {
  return ["true", "1"].includes(textAt(value, path).toLowerCase());
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
