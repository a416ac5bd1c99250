/**
 * The pure key-value state machine under every replica: the same commands in the same order give the same state and results.
 */
import { Packr } from "msgpackr";
import BTree from "sorted-btree";
import { limits } from "../../shared/limits.ts";
import { compareByteOrder } from "./byte-order.ts";
import type { Command } from "./command.ts";
import { ownText } from "./own-text.ts";
import { RememberedResults, type StoredResult } from "./remembered-results.ts";
import { TextKv } from "./text-kv.ts";
import { WatchHistory } from "./watch-history.ts";

interface SnapshotHeader {
  version: 1;
  revision: number;
  keys: number;
}

/** key, text, modRev of one row after the other: packs much faster than objects, so the event loop waits less. */
type FlatRows = (string | number)[];

const packr = new Packr({ useRecords: false });

export class StateMachine {
  #revision = 0;
  #rows = noRows();
  #remembered = new RememberedResults();
  #history = new WatchHistory(0);

  get revision(): number {
    return this.#revision;
  }

  get history(): WatchHistory {
    return this.#history;
  }

  get size(): number {
    return this.#rows.size;
  }

  /**
   * The revision rises by one when anything changes; deleting what is not there changes nothing. Result of a failed compare:
   * the rows that its compared keys have now.
   */
  apply(command: Command): StoredResult {
    const before = this.#remembered.get(command.id);
    if (before !== undefined) return before;
    const result = this.#evaluate(command);
    this.#remembered.add(ownText(command.id), result);
    return result;
  }

  get(key: string): TextKv | undefined {
    return this.#rows.get(key);
  }

  /** In byte order; keys strictly after `from`; `next` is the last key given when more follow. */
  range(prefix: string, from: string | undefined, limit: number): { rows: TextKv[]; next?: string } {
    const rows: TextKv[] = [];
    const start = from !== undefined && compareByteOrder(from, prefix) > 0 ? from : prefix;
    for (const [key, row] of this.#rows.entries(start)) {
      if (!key.startsWith(prefix)) break;
      if (key === from) continue;
      if (rows.length >= limit) return { rows, next: rows.at(-1)!.key };
      rows.push(row);
    }
    return { rows };
  }

  /**
   * The state as it is now, in chunks of bounded size; the iterator may be drained at leisure while commands are applied
   * (the tree is copied on write). Chunks: a header, then rows, then remembered results, each one msgpack value.
   */
  snapshot(): Iterable<Uint8Array> {
    const rows = this.#rows.clone();
    const header: SnapshotHeader = { version: 1, revision: this.#revision, keys: rows.size };
    return chunks(header, rows, this.#remembered.entries());
  }

  /**
   * Replaces the state by what `snapshot` gave, when all of it is there; before that, and when it throws, the state is the old one. The
   * history starts there. @throws TypeError on an unknown version
   */
  async restore(snapshot: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    const rows = noRows();
    const remembered = new RememberedResults();
    let header: SnapshotHeader | undefined;
    for await (const chunk of snapshot) {
      const value = packr.unpack(chunk) as SnapshotHeader | FlatRows | { results: [string, StoredResult][] };
      if (header === undefined) header = checkHeader(value);
      else if (Array.isArray(value)) {
        for (let i = 0; i + 2 < value.length; i += 3) {
          const [key, text] = [ownText(value[i] as string), ownText(value[i + 1] as string)];
          rows.set(key, new TextKv(key, text, value[i + 2] as number));
        }
      } else if ("results" in value) {
        for (const [id, result] of value.results) remembered.add(id, result);
      }
    }
    if (header === undefined || header.keys !== rows.size) {
      throw new TypeError("Cannot restore snapshot: it is not complete");
    }
    this.#revision = header.revision;
    this.#rows = rows;
    this.#remembered = remembered;
    this.#history = new WatchHistory(header.revision);
  }

  #evaluate(command: Command): StoredResult {
    const holds = command.cmp.every(({ key, modRev }) => (this.#rows.get(key)?.modRev ?? 0) === modRev);
    if (!holds) {
      const keys = new Set(command.cmp.map((c) => c.key));
      const seen = [...keys].map((key) => this.get(key)).filter((row) => row !== undefined);
      const plain = seen.map(({ key, text, modRev }) => ({ key, text, modRev }));
      return { ok: false, rev: this.#revision, seen: plain };
    }
    const effective = command.then.filter((op) => op.text !== null || this.#rows.has(op.key));
    if (effective.length === 0) return { ok: true, rev: this.#revision };
    const rev = ++this.#revision;
    const changes = effective.map((op) => {
      const key = ownText(op.key);
      if (op.text === null) {
        this.#rows.delete(key);
        return { key, text: null };
      }
      const row = new TextKv(key, ownText(op.text), rev);
      this.#rows.set(key, row);
      return row;
    });
    this.#history.append({ rev, changes }, this.#rows.size * limits.watchHistoryRowsShare);
    return { ok: true, rev };
  }
}

/** A snapshot of a state made elsewhere, at a revision of the caller's. @param rows - in any order, each key once */
export function snapshotOf(
  rows: Iterable<[key: string, value: unknown]>,
  revision: number,
): Iterable<Uint8Array> {
  const sorted = noRows();
  for (const [key, value] of rows) sorted.set(key, new TextKv(key, JSON.stringify(value), revision));
  return chunks({ version: 1, revision, keys: sorted.size }, sorted, []);
}

function noRows(): BTree<string, TextKv> {
  return new BTree<string, TextKv>(undefined, compareByteOrder);
}

function checkHeader(value: unknown): SnapshotHeader {
  const header = value as SnapshotHeader;
  if (header.version !== 1) {
    throw new TypeError(`Cannot restore snapshot: version ${String(header.version)} is not known`);
  }
  return header;
}

function* chunks(
  header: SnapshotHeader,
  all: BTree<string, TextKv>,
  results: [string, StoredResult][],
): Generator<Uint8Array> {
  yield packr.pack(header);
  let rows: FlatRows = [];
  let characters = 0;
  for (const { key, text, modRev } of all.values()) {
    rows.push(key, text, modRev);
    characters += key.length + text.length;
    if (rows.length >= limits.raftSnapshotChunkRows * 3 || characters >= limits.raftSnapshotChunkCharacters) {
      yield packr.pack(rows);
      rows = [];
      characters = 0;
    }
  }
  if (rows.length > 0) yield packr.pack(rows);
  for (let i = 0; i < results.length; i += limits.raftSnapshotChunkRows) {
    yield packr.pack({ results: results.slice(i, i + limits.raftSnapshotChunkRows) });
  }
}
