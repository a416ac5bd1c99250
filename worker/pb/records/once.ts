import { UserError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import { HEADERS } from "../../../shared/protocol/headers.ts";
import { isRemembered } from "../../../shared/protocol/idempotency.ts";
import { sha256Hex } from "../../../shared/protocol/mac.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { WriteTransaction } from "../../tenant/contract.ts";
import type { BoundBody, PbContext } from "../route.ts";

const TABLE = `CREATE TABLE IF NOT EXISTS _mb_answers (
  key TEXT PRIMARY KEY NOT NULL, request TEXT NOT NULL, answer TEXT, at INTEGER NOT NULL
) WITHOUT ROWID`;
const INDEX = "CREATE INDEX IF NOT EXISTS _mb_answers_at ON _mb_answers (at)";

/** What a write answered before, when a request with the same `Idempotency-Key` was run. */
export interface Remembered<T> {
  answer: T;
}

/**
 * The answer of a request with an `Idempotency-Key`, kept in the transaction of its write: there is one when and only when the write is
 * there, whoever died in between. Answers are JSON values; those of a request that failed are not kept, since nothing of it was done.
 */
export interface Once<T> {
  /** Looks inside the write's own transaction. @throws UserError `idempotency_mismatch`, `conflict` */
  find(tx: SqlReader): Remembered<T> | undefined;
  keep(tx: WriteTransaction, answer: T): void;
}

const NEVER: Once<never> = { find: () => undefined, keep: () => undefined };

/** A key means something only to who sent it: the record of the token, or all guests. */
export function once<T>(context: PbContext, body?: BoundBody, nowMs: () => number = Date.now): Once<T> {
  const { request, path, url, auth } = context;
  const header = request.headers.get(HEADERS.idempotencyKey);
  if (header === null || !isRemembered(request.method, path, header)) return NEVER;
  const who = auth === undefined ? "" : `${auth.collection.id} ${auth.record.id}`;
  const key = sha256Hex(`${who}\n${header}`);
  const digest = sha256Hex(`${request.method}\n${path}${url.search}\n${textOf(body)}`);
  return {
    find(tx) {
      if (!hasTable(tx)) return undefined;
      const row = tx.get<{ request: string; answer: string | null }>(
        "SELECT request, answer FROM _mb_answers WHERE key = ? AND at > ?",
        [key, nowMs() - limits.idempotencyKeepMs],
      );
      if (row === undefined) return undefined;
      if (row.request !== digest) {
        throw new UserError(
          "idempotency_mismatch",
          "Cannot run this request: its Idempotency-Key was used for another one",
        );
      }
      if (row.answer === null) {
        throw new UserError(
          "conflict",
          "Cannot answer again: it was done, but the answer was too long to keep",
        );
      }
      return { answer: (JSON.parse(row.answer) as [T])[0] };
    },
    keep(tx, answer) {
      tx.exec(TABLE);
      tx.exec(INDEX);
      const text = JSON.stringify([answer ?? null]);
      tx.run(
        "DELETE FROM _mb_answers WHERE key IN (SELECT key FROM _mb_answers WHERE at <= ? ORDER BY at LIMIT ?)",
        [nowMs() - limits.idempotencyKeepMs, limits.idempotencySweep],
      );
      tx.run("INSERT OR REPLACE INTO _mb_answers (key, request, answer, at) VALUES (?, ?, ?, ?)", [
        key,
        digest,
        text.length > limits.idempotencyAnswerCharactersMax ? null : text,
        nowMs(),
      ]);
    },
  };
}

function hasTable(tx: SqlReader): boolean {
  return tx.get("SELECT 1 FROM sqlite_schema WHERE name = '_mb_answers'") !== undefined;
}

/** Files stand for themselves by name and length: their bytes may be on the way only once. */
function textOf(body: BoundBody | undefined): string {
  if (body === undefined) return "";
  const files = [...body.files].map(([key, list]) => [key, list.map(({ name, size }) => [name, size])]);
  return JSON.stringify([body.values, files]);
}
