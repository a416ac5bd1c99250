import { SystemError, UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { EtcdClient } from "./client.ts";
import { ETCD_PREFIX, Layout } from "./layout.ts";
import { type OriginRecord, originSchema } from "./origin.ts";
import {
  type Compare,
  type RequestOp,
  absent,
  fromBase64,
  rangeSchema,
  toBase64,
  txnSchema,
  unchangedSince,
} from "./wire.ts";

/**
 * Puts a state made elsewhere into an etcd that holds none below the prefix. Until the last txn a mark says that it is not whole and
 * keeps every replica out; broken off it is run again and begins anew.
 */
export class EtcdFounding {
  readonly #client: EtcdClient;
  readonly #layout: Layout;

  constructor(urls: string, prefix: string, fetch: typeof globalThis.fetch = globalThis.fetch) {
    this.#client = new EtcdClient({ urls, fetch });
    this.#layout = new Layout(prefix);
  }

  /** @throws UserError `conflict` when there is a state; SystemError `control_no_leader` */
  async requireEmpty(): Promise<void> {
    const { watched } = this.#layout;
    const { kvs } = await this.#client.read("/v3/kv/range", { ...watched, limit: "1" }, rangeSchema);
    if (kvs.length > 0 && (await this.#mark())?.record.restoring !== true) throw occupied();
  }

  /** @param floor - every revision is above it. @throws as `requireEmpty`, `control_state_unknown` */
  async found(rows: Iterable<[key: string, value: unknown]>, floor: number): Promise<void> {
    const id = crypto.randomUUID();
    const mark = await this.#begin({ id, floor, restoring: true });
    await this.#clear(mark);
    let batch: RequestOp[] = [];
    let characters = 0;
    for (const [key, value] of rows) {
      const text = toBase64(JSON.stringify(value));
      if (batch.length >= limits.etcdFoundRows || characters + text.length > limits.etcdFoundCharacters) {
        await this.#write(batch, mark);
        [batch, characters] = [[], 0];
      }
      batch.push({ request_put: { key: this.#layout.row(key), value: text } });
      characters += text.length;
    }
    await this.#write(batch, mark);
    const done = {
      request_put: { key: this.#layout.origin, value: encoded({ id, floor, restoring: false }) },
    };
    const raised = { request_put: { key: this.#layout.revision, value: "" } };
    await this.#write([done, raised], mark, async () => {
      const { record } = (await this.#mark()) ?? {};
      return record?.id === id && !record.restoring;
    });
  }

  /** @returns what every further write compares */
  async #begin(record: OriginRecord): Promise<Compare> {
    for (let attempt = 0; attempt < limits.commandRetriesMax; attempt++) {
      const there = await this.#mark();
      if (there?.record.id === record.id) return unchangedSince(this.#layout.origin, there.modRevision);
      if (there?.record.restoring === false) throw occupied();
      // Nothing at all, or what a restore left that broke off.
      const compare =
        there === undefined
          ? [absent(this.#layout.watched)]
          : [unchangedSince(this.#layout.origin, there.modRevision)];
      const put = { request_put: { key: this.#layout.origin, value: encoded(record) } };
      const answer = await this.#client
        .write("/v3/kv/txn", { compare, success: [put] }, txnSchema)
        .catch(unlessFinal);
      if (answer?.succeeded === false && there === undefined) await this.requireEmpty();
    }
    throw unsettled();
  }

  async #clear(mark: Compare): Promise<void> {
    for (;;) {
      const range = {
        ...this.#layout.rows("", undefined),
        limit: String(limits.etcdFoundRows),
        keys_only: true,
      };
      const { kvs } = await this.#client.read("/v3/kv/range", range, rangeSchema);
      if (kvs.length === 0) return;
      await this.#write(
        kvs.map(({ key }) => ({ request_delete_range: { key } })),
        mark,
      );
    }
  }

  /** Each write may be repeated: it puts or deletes the same again. `happened`: whether it was done although the mark has changed. */
  async #write(
    success: RequestOp[],
    mark: Compare,
    happened: () => Promise<boolean> = () => Promise.resolve(false),
  ): Promise<void> {
    for (let attempt = 0; attempt < limits.commandRetriesMax; attempt++) {
      const request = { compare: [mark], success };
      const answer = await this.#client.write("/v3/kv/txn", request, txnSchema).catch(unlessFinal);
      if (answer?.succeeded === true) return;
      if (answer?.succeeded !== false) continue;
      if (await happened()) return;
      throw new UserError("conflict", "Cannot restore into etcd: another restore has begun meanwhile", {
        hint: "Let one of them come to its end.",
      });
    }
    throw unsettled();
  }

  async #mark(): Promise<{ record: OriginRecord; modRevision: number } | undefined> {
    const { kvs } = await this.#client.read("/v3/kv/range", { key: this.#layout.origin }, rangeSchema);
    const [kv] = kvs;
    if (kv === undefined) return undefined;
    return { record: originSchema.parse(JSON.parse(fromBase64(kv.value))), modRevision: kv.mod_revision };
  }
}

/** What may be tried again gives undefined. */
function unlessFinal(error: unknown): undefined {
  if (error instanceof SystemError && error.code !== "disk_full") return undefined;
  throw error;
}

const encoded = (record: OriginRecord): string => toBase64(JSON.stringify(record));

function occupied(): UserError {
  return new UserError("conflict", "Cannot restore into etcd: it holds a state of control", {
    hint: `Stop every replica of control, then remove the old state: etcdctl del --prefix ${ETCD_PREFIX}/. Or give another etcd.`,
  });
}

function unsettled(): SystemError {
  return new SystemError("control_state_unknown", "Cannot restore into etcd: it gives no clear answer", {
    hint: "Nobody uses what was written so far. Run it again.",
    retryAfterMs: 1_000,
  });
}
