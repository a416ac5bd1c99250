import { prefixEnd, toBase64 } from "./wire.ts";

/** Of control's keys in an etcd that others use too. */
export const ETCD_PREFIX = "manybase";

/**
 * Where things are in etcd, below a prefix of our own:
 *
 *   kv/<key>           rows, value as JSON
 *   meta/revision      written by every txn that changes a row: its mod_revision is the store's revision
 *   meta/origin        what `manybase control restore` put the state there; absent when nothing was restored
 *   meta/leader        id of the replica that leads, on its lease
 *   meta/replicas/<id> address of a replica, on its lease
 *   txn/<id>           result of a txn, kept for a while on a lease; not watched
 */
export class Layout {
  readonly #prefix: string;
  readonly revision: string;
  readonly origin: string;
  readonly leader: string;
  readonly replicas: string;

  constructor(prefix: string) {
    this.#prefix = `${prefix}/`;
    this.revision = this.encode("meta/revision");
    this.origin = this.encode("meta/origin");
    this.leader = this.encode("meta/leader");
    this.replicas = `${this.#prefix}meta/replicas/`;
  }

  encode(name: string): string {
    return toBase64(this.#prefix + name);
  }

  row(key: string): string {
    return this.encode(`kv/${key}`);
  }

  /** Of a decoded key of etcd; undefined when it is no row. */
  keyOf(name: string): string | undefined {
    const start = `${this.#prefix}kv/`;
    return name.startsWith(start) ? name.slice(start.length) : undefined;
  }

  rows(prefix: string, from: string | undefined): { key: string; range_end: string } {
    const first = `${this.#prefix}kv/${prefix}`;
    // The least key after `from` has a zero byte more; it must not lie before the prefix.
    const after = from === undefined ? undefined : `${this.#prefix}kv/${from}\0`;
    const start =
      after !== undefined && Buffer.compare(Buffer.from(after), Buffer.from(first)) > 0 ? after : first;
    return { key: toBase64(start), range_end: prefixEnd(first) };
  }

  result(id: string): string {
    return this.encode(`txn/${id}`);
  }

  replica(id: string): string {
    return this.encode(`meta/replicas/${id}`);
  }

  /** kv/ and meta/, not txn/. */
  get watched(): { key: string; range_end: string } {
    return { key: this.encode("kv/"), range_end: prefixEnd(`${this.#prefix}meta/`) };
  }
}
