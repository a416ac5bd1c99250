import { z } from "zod";
import { SystemError, UserError } from "../../shared/errors.ts";
import type { EtcdClient } from "./client.ts";
import type { Layout } from "./layout.ts";
import { type Compare, fromBase64, rangeSchema, unchangedSince } from "./wire.ts";

export const originSchema = z.object({
  /** Of the restore that wrote it. */
  id: z.string(),
  /** Added to etcd's revisions, so that those of a restored state are above all that were told before. */
  floor: z.number().int().min(0),
  /** Rows are still being written: nobody may use them. */
  restoring: z.boolean(),
});
export type OriginRecord = z.infer<typeof originSchema>;

/** Where the state came from: nothing, or a restore. It never changes while somebody uses the store. */
export class Origin {
  readonly #key: string;
  /** Of the record in etcd; 0: there is none. */
  readonly modRevision: number;
  readonly #floor: number;

  constructor(key: string, modRevision: number, floor: number) {
    this.#key = key;
    this.modRevision = modRevision;
    this.#floor = floor;
  }

  /** Every change compares it: what began before a restore writes nothing into what it made. */
  get unchanged(): Compare {
    return unchangedSince(this.#key, this.modRevision);
  }

  /** The store's revision, for one of etcd's. */
  rev(ofEtcd: number): number {
    return ofEtcd === 0 ? 0 : ofEtcd + this.#floor;
  }

  ofEtcd(rev: number): number {
    return rev === 0 ? 0 : rev - this.#floor;
  }
}

/** @throws UserError `conflict` while a restore is under way */
export async function readOrigin(client: EtcdClient, layout: Layout): Promise<Origin> {
  const { kvs } = await client.read("/v3/kv/range", { key: layout.origin }, rangeSchema);
  const [kv] = kvs;
  if (kv === undefined) return new Origin(layout.origin, 0, 0);
  const { floor, restoring } = originSchema.parse(JSON.parse(fromBase64(kv.value)));
  if (!restoring) return new Origin(layout.origin, kv.mod_revision, floor);
  throw new UserError("conflict", "Cannot use etcd: a restore into it has not come to its end", {
    hint: "Wait for `manybase control restore`, or run it again when it broke off.",
  });
}

export function replaced(): SystemError {
  return new SystemError("control_rolled_back", "Cannot use etcd: another state was restored into it", {
    hint: "Start this replica again.",
  });
}
