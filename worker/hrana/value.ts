import { z } from "zod";
import { badRequest } from "../pb/api-error.ts";
import type { SqlValue } from "../sqlite/contract.ts";

/** A SQLite value in the JSON encoding of Hrana 2 and 3: 64-bit integers are text, blobs base64. */
export const hranaValueSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("null") }),
  z.object({ type: z.literal("integer"), value: z.union([z.string().regex(/^-?\d{1,19}$/), z.int()]) }),
  z.object({ type: z.literal("float"), value: z.number() }),
  z.object({ type: z.literal("text"), value: z.string() }),
  z.object({ type: z.literal("blob"), base64: z.string() }),
]);
export type HranaValue = z.infer<typeof hranaValueSchema>;

export function decodeValue(value: HranaValue): SqlValue {
  switch (value.type) {
    case "null":
      return null;
    case "integer": {
      const integer = BigInt(value.value);
      if (BigInt.asIntN(64, integer) !== integer)
        throw badRequest("An integer parameter has more than 64 bits");
      return integer;
    }
    case "blob":
      return new Uint8Array(Buffer.from(value.base64, "base64"));
    case "float":
    case "text":
      return value.value;
  }
}

/** Infinite numbers have no JSON: they become null, as in SQLite's own JSON functions they are out of range. */
export function encodeValue(value: SqlValue): HranaValue {
  if (value === null) return { type: "null" };
  if (typeof value === "bigint") return { type: "integer", value: value.toString() };
  if (typeof value === "number") return Number.isFinite(value) ? { type: "float", value } : { type: "null" };
  if (typeof value === "string") return { type: "text", value };
  if (typeof value === "boolean") return { type: "integer", value: value ? "1" : "0" };
  return { type: "blob", base64: Buffer.from(value).toString("base64").replace(/=+$/, "") };
}
