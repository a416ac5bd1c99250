/** The parts of etcd's v3 JSON gateway that are used: bytes are base64, 64-bit numbers are text, what is zero or empty is left out. */
import { z } from "zod";

const int64 = z.union([z.string(), z.number()]).default("0").transform(Number);
const header = z.object({ cluster_id: z.string().default(""), revision: int64 });

export const kvSchema = z.object({
  key: z.string().default(""),
  value: z.string().default(""),
  create_revision: int64,
  mod_revision: int64,
});
export type EtcdKv = z.infer<typeof kvSchema>;

export const rangeSchema = z.object({
  header: header.optional(),
  kvs: z.array(kvSchema).default([]),
  more: z.boolean().default(false),
});

export const txnSchema = z.object({
  header,
  succeeded: z.boolean().default(false),
  responses: z.array(z.object({ response_range: rangeSchema.optional() })).default([]),
});
export type EtcdTxnAnswer = z.infer<typeof txnSchema>;

export const leaseSchema = z.object({ ID: z.string().default("0"), TTL: int64 });
export const keepAliveSchema = z.object({ result: leaseSchema.optional() });

export const watchSchema = z.object({
  result: z
    .object({
      header,
      created: z.boolean().default(false),
      canceled: z.boolean().default(false),
      compact_revision: int64,
      events: z.array(z.object({ type: z.enum(["PUT", "DELETE"]).default("PUT"), kv: kvSchema })).default([]),
    })
    .optional(),
});
export type EtcdWatchAnswer = z.infer<typeof watchSchema>;

export type Compare = Record<string, string>;
export type RequestOp =
  | { request_put: { key: string; value: string; lease?: string } }
  | { request_delete_range: { key: string } }
  | { request_range: RangeRequest };

export interface RangeRequest {
  key: string;
  range_end?: string;
  limit?: string;
  serializable?: boolean;
}

export interface TxnRequest {
  compare: Compare[];
  success: RequestOp[];
  failure?: RequestOp[];
}

/** The key was last changed at that revision; 0: it is not there. */
export function unchangedSince(key: string, modRev: number): Compare {
  return { key, target: "MOD", result: "EQUAL", mod_revision: String(modRev) };
}

/** None of these keys is there. */
export function absent(range: { key: string; range_end: string }): Compare {
  return { ...range, target: "CREATE", result: "EQUAL", create_revision: "0" };
}

export function exists(key: string): Compare {
  return { key, target: "MOD", result: "GREATER", mod_revision: "0" };
}

const utf8 = new TextEncoder();

export function toBase64(text: string | Uint8Array): string {
  return Buffer.from(typeof text === "string" ? utf8.encode(text) : text).toString("base64");
}

export function fromBase64(text: string): string {
  return Buffer.from(text, "base64").toString("utf8");
}

/** The first key after all that begin with the prefix, which must not be empty. */
export function prefixEnd(prefix: string): string {
  const bytes = utf8.encode(prefix);
  bytes[bytes.length - 1]! += 1;
  return toBase64(bytes);
}
