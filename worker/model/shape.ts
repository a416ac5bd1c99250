/**
 * Shapes of settings objects (field options, auth options): how JSON input merges onto what is there, as Go's decoder merges
 * into a struct. Objects merge, lists and scalars replace, unknown keys are dropped, null changes only what may be null.
 */
import { parseDateText } from "./fields/date-text.ts";

export type Shape =
  | {
      kind:
        | "text"
        | "integer"
        | "bool"
        | "textOrNull"
        | "numberOrNull"
        | "boolOrNull"
        | "textsOrNull"
        | "date"
        | "map";
    }
  | { kind: "object"; keys: Readonly<Record<string, Shape>> }
  | { kind: "list"; item: Shape; key: string };

export const text = { kind: "text" } as const;
export const integer = { kind: "integer" } as const;
export const bool = { kind: "bool" } as const;
export const textOrNull = { kind: "textOrNull" } as const;
export const numberOrNull = { kind: "numberOrNull" } as const;
export const boolOrNull = { kind: "boolOrNull" } as const;
export const textsOrNull = { kind: "textsOrNull" } as const;
export const date = { kind: "date" } as const;
export const map = { kind: "map" } as const;
export const object = (keys: Readonly<Record<string, Shape>>): Shape => ({ kind: "object", keys });
/** Items are the current ones of the same `key` with the input merged in; the list itself is replaced. */
export const list = (item: Shape, key: string): Shape => ({ kind: "list", item, key });

/** A value of the wrong JSON type where a setting is expected: the whole body is refused as badly formatted. */
export class InvalidInput extends Error {
  override readonly name = "InvalidInput";
}

export function zeroOf(shape: Shape): unknown {
  switch (shape.kind) {
    case "text":
    case "date":
      return "";
    case "integer":
      return 0;
    case "bool":
      return false;
    case "object":
      return Object.fromEntries(Object.entries(shape.keys).map(([key, inner]) => [key, zeroOf(inner)]));
    default:
      return null;
  }
}

/** `input` over `current`; keys in the shape's order. @throws InvalidInput */
export function merge(shape: Shape, current: unknown, input: unknown, path: string): unknown {
  if (input === undefined) return current ?? zeroOf(shape);
  if (shape.kind === "object") return mergeObject(shape.keys, current, input, path);
  if (input === null) return isNullable(shape) ? null : (current ?? zeroOf(shape));
  if (shape.kind === "list") {
    if (!Array.isArray(input)) throw wrongType(path, "a list");
    const known = Array.isArray(current) ? current.filter(isPlainObject) : [];
    return input.map((item: unknown, index) => {
      const key = isPlainObject(item) ? item[shape.key] : undefined;
      const old = known.find((one) => one[shape.key] === key);
      return merge(shape.item, old, item, `${path}.${index}`);
    });
  }
  return scalar(shape.kind, input, path);
}

function mergeObject(
  keys: Readonly<Record<string, Shape>>,
  current: unknown,
  input: unknown,
  path: string,
): Record<string, unknown> {
  const old = isPlainObject(current) ? current : {};
  if (input !== null && !isPlainObject(input)) throw wrongType(path, "an object");
  const merged: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(keys)) {
    merged[key] = merge(inner, old[key], input?.[key], path === "" ? key : `${path}.${key}`);
  }
  return merged;
}

function scalar(kind: Exclude<Shape["kind"], "object" | "list">, input: unknown, path: string): unknown {
  switch (kind) {
    case "text":
    case "textOrNull":
      if (typeof input !== "string") throw wrongType(path, "a text");
      return input;
    case "integer":
      if (typeof input !== "number" || !Number.isInteger(input) || Math.abs(input) >= 2 ** 63)
        throw wrongType(path, "a whole number");
      return input;
    case "numberOrNull":
      if (typeof input !== "number") throw wrongType(path, "a number");
      return input;
    case "bool":
    case "boolOrNull":
      if (typeof input !== "boolean") throw wrongType(path, "true or false");
      return input;
    case "textsOrNull":
      if (!Array.isArray(input) || !input.every((item) => typeof item === "string"))
        throw wrongType(path, "a list of texts");
      return [...input];
    case "date":
      if (typeof input !== "string") throw wrongType(path, "a text");
      return parseDateText(input);
    case "map":
      if (!isPlainObject(input)) throw wrongType(path, "an object");
      return byKey(input);
  }
}

/** As Go keeps what it has no shape for: a map, written in the order of its keys. */
function byKey(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(byKey);
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, byKey(inner)]),
  );
}

function isNullable(shape: Shape): boolean {
  return shape.kind.endsWith("OrNull") || shape.kind === "map" || shape.kind === "list";
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrongType(path: string, expected: string): InvalidInput {
  return new InvalidInput(`Cannot read ${path}: not ${expected}`);
}
