import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { type Command } from "../store/command.ts";
import type { Row, StoredResult } from "../store/remembered-results.ts";
import { type EtcdClient, LeaseGone } from "./client.ts";
import type { Layout } from "./layout.ts";
import { type Origin, replaced } from "./origin.ts";
import {
  type EtcdKv,
  type EtcdTxnAnswer,
  type RequestOp,
  type TxnRequest,
  exists,
  fromBase64,
  leaseSchema,
  toBase64,
  txnSchema,
  unchangedSince,
} from "./wire.ts";

/**
 * Txns exactly once by id. A change and the note that it was made are one transaction of etcd. A refusal, and a txn that changes
 * nothing, change nothing in etcd either: what they saw is noted in a second transaction, which loses against a note made meanwhile.
 */
export class Transactions {
  readonly #client: EtcdClient;
  readonly #layout: Layout;
  readonly #origin: Origin;
  readonly #nowMs: () => number;
  #lease: { id: string; untilMs: number } | undefined;

  constructor(client: EtcdClient, layout: Layout, origin: Origin, nowMs: () => number) {
    this.#client = client;
    this.#layout = layout;
    this.#origin = origin;
    this.#nowMs = nowMs;
  }

  async apply(command: Command, signal: AbortSignal | undefined): Promise<StoredResult> {
    for (let attempt = 0; attempt < limits.commandRetriesMax; attempt++) {
      try {
        const result = await this.#attempt(command, signal);
        if (result !== undefined) return result;
      } catch (error) {
        if (!(error instanceof LeaseGone)) throw error;
        this.#lease = undefined;
      }
    }
    throw new SystemError("overloaded", "Cannot apply txn: others changed its rows each time", {
      retryAfterMs: 100,
    });
  }

  /** Undefined: something changed in between; nothing was done. */
  async #attempt(command: Command, signal: AbortSignal | undefined): Promise<StoredResult | undefined> {
    const deletes = command.then.filter((op) => op.text === null);
    if (deletes.length < command.then.length) return this.#change(command, [], signal);
    // Whether deletions change anything must be known before: only a change may raise the revision.
    const request = this.#request(
      command,
      deletes.map(({ key }) => ({ request_range: { key: this.#layout.row(key) } })),
    );
    const answer = await this.#client.read("/v3/kv/txn", request, txnSchema, signal);
    if (!answer.succeeded) return this.#refused(command, answer, signal);
    const there = answer.responses
      .slice(0, deletes.length)
      .find((one) => (one.response_range?.kvs.length ?? 0) > 0);
    const first = there?.response_range?.kvs[0];
    if (first !== undefined) return this.#change(command, [exists(first.key)], signal);
    const rev = this.#origin.rev(answer.responses.at(-1)?.response_range?.kvs[0]?.mod_revision ?? 0);
    return this.#note(command.id, { ok: true, rev }, signal);
  }

  async #change(
    command: Command,
    more: TxnRequest["compare"],
    signal: AbortSignal | undefined,
  ): Promise<StoredResult | undefined> {
    const { id, then } = command;
    const ops = then.map(({ key, text }): RequestOp => {
      const row = this.#layout.row(key);
      return text === null
        ? { request_delete_range: { key: row } }
        : { request_put: { key: row, value: toBase64(text) } };
    });
    ops.push(
      {
        request_put: { key: this.#layout.result(id), value: toBase64("{}"), lease: await this.#noteLease() },
      },
      { request_put: { key: this.#layout.revision, value: "" } },
    );
    const { compare, failure = [] } = this.#request(command, []);
    const request = { compare: [...compare, ...more], success: ops, failure };
    const answer = await this.#client.write("/v3/kv/txn", request, txnSchema, signal);
    if (answer.succeeded) return { ok: true, rev: this.#origin.rev(answer.header.revision) };
    return this.#refused(command, answer, signal);
  }

  /** Reads only: `success` and the revision, or the note and the compared rows. */
  #request({ id, cmp }: Command, success: RequestOp[]): TxnRequest {
    const note = this.#layout.result(id);
    const revision: RequestOp = { request_range: { key: this.#layout.revision } };
    const keys = [...new Set(cmp.map(({ key }) => key))];
    return {
      compare: [
        this.#origin.unchanged,
        unchangedSince(note, 0),
        ...cmp.map(({ key, modRev }) => unchangedSince(this.#layout.row(key), this.#origin.ofEtcd(modRev))),
      ],
      success: [...success, revision],
      failure: [
        { request_range: { key: this.#layout.origin } },
        { request_range: { key: note } },
        ...keys.map((key): RequestOp => ({ request_range: { key: this.#layout.row(key) } })),
        revision,
      ],
    };
  }

  async #refused(
    command: Command,
    { responses }: EtcdTxnAnswer,
    signal: AbortSignal | undefined,
  ): Promise<StoredResult | undefined> {
    const rows = responses.map((one) => one.response_range?.kvs[0]);
    const [origin, noted] = rows;
    if ((origin?.mod_revision ?? 0) !== this.#origin.modRevision) throw replaced();
    if (noted !== undefined) return this.#resultOf(noted);
    const seen = rows.slice(2, -1).filter((kv) => kv !== undefined);
    const holds = command.cmp.every(({ key, modRev }) => {
      const row = this.#layout.row(key);
      return (seen.find((kv) => kv.key === row)?.mod_revision ?? 0) === this.#origin.ofEtcd(modRev);
    });
    // What failed was the compare that this engine added.
    if (holds) return undefined;
    const result: StoredResult = {
      ok: false,
      rev: this.#origin.rev(rows.at(-1)?.mod_revision ?? 0),
      seen: seen.map((kv) => this.rowOf(kv)),
    };
    return this.#note(command.id, result, signal);
  }

  async #note(id: string, result: StoredResult, signal: AbortSignal | undefined): Promise<StoredResult> {
    const key = this.#layout.result(id);
    const value = toBase64(JSON.stringify({ result }));
    const request: TxnRequest = {
      compare: [this.#origin.unchanged, unchangedSince(key, 0)],
      success: [{ request_put: { key, value, lease: await this.#noteLease() } }],
      failure: [{ request_range: { key } }],
    };
    const answer = await this.#client.write("/v3/kv/txn", request, txnSchema, signal);
    const noted = answer.responses[0]?.response_range?.kvs[0];
    return answer.succeeded || noted === undefined ? result : this.#resultOf(noted);
  }

  rowOf(kv: EtcdKv): Row {
    const key = this.#layout.keyOf(fromBase64(kv.key)) ?? "";
    return { key, text: fromBase64(kv.value), modRev: this.#origin.rev(kv.mod_revision) };
  }

  /** The note of a change carries nothing: it was written at the revision of the change. */
  #resultOf(note: EtcdKv): StoredResult {
    const { result } = JSON.parse(fromBase64(note.value)) as { result?: StoredResult };
    return result ?? { ok: true, rev: this.#origin.rev(note.mod_revision) };
  }

  /** One lease for many notes; a new one well before it ends. */
  async #noteLease(): Promise<string> {
    if (this.#lease !== undefined && this.#nowMs() < this.#lease.untilMs) return this.#lease.id;
    const request = { TTL: String(limits.etcdNoteSeconds) };
    const { ID } = await this.#client.read("/v3/lease/grant", request, leaseSchema);
    this.#lease = { id: ID, untilMs: this.#nowMs() + (limits.etcdNoteSeconds * 1_000) / 2 };
    return ID;
  }
}
