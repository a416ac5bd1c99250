/**
 * A txn as it stands in the log of an engine: checked, values as JSON text. Checking before proposing means that applying
 * never fails, on any replica, in any version.
 */
import { Packr } from "msgpackr";
import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { Txn } from "./contract.ts";

/** Values are JSON text: small in memory, and every reader gets a copy of its own. */
export interface Command {
  id: string;
  cmp: { key: string; modRev: number }[];
  /** text null deletes. */
  then: { key: string; text: string | null }[];
}

type Wire = [
  version: 1,
  id: string,
  cmp: [key: string, modRev: number][],
  then: [key: string, text: string | null][],
];

const packr = new Packr({ useRecords: false });
const utf8 = new TextEncoder();

/** @throws UserError `invalid_body` or `too_large` */
export function commandOf(txn: Txn): Command {
  if (txn.id.length === 0 || byteLength(txn.id) > limits.txnIdBytesMax || !txn.id.isWellFormed()) {
    throw new UserError(
      "invalid_body",
      `Cannot apply txn: its id must be 1 to ${limits.txnIdBytesMax} bytes of text`,
    );
  }
  if (txn.cmp.length > limits.txnOperationsMax || txn.then.length > limits.txnOperationsMax) {
    throw new UserError("too_large", `Cannot apply txn: more than ${limits.txnOperationsMax} operations`);
  }
  for (const { key, modRev } of txn.cmp) {
    checkKey(key);
    if (!Number.isSafeInteger(modRev) || modRev < 0) {
      throw new UserError("invalid_body", `Cannot apply txn: modRev ${modRev} is not a revision`);
    }
  }
  const written = new Set<string>();
  const then = txn.then.map((op) => {
    checkKey(op.key);
    if (written.has(op.key)) {
      throw new UserError("invalid_body", `Cannot apply txn: it writes ${JSON.stringify(op.key)} twice`);
    }
    written.add(op.key);
    return { key: op.key, text: op.kind === "put" ? textOf(op.key, op.value) : null };
  });
  return { id: txn.id, cmp: txn.cmp.map(({ key, modRev }) => ({ key, modRev })), then };
}

/** @throws UserError `too_large` */
export function encodeCommand(command: Command): Uint8Array {
  const wire: Wire = [
    1,
    command.id,
    command.cmp.map((c) => [c.key, c.modRev]),
    command.then.map((op) => [op.key, op.text]),
  ];
  const bytes = packr.pack(wire);
  if (bytes.length > limits.raftEntryBytesMax) {
    throw new UserError(
      "too_large",
      `Cannot apply txn: ${bytes.length} bytes, at most ${limits.raftEntryBytesMax} fit`,
    );
  }
  return Uint8Array.prototype.slice.call(bytes);
}

export function decodeCommand(bytes: Uint8Array): Command {
  const [version, id, cmp, then] = packr.unpack(bytes) as Wire;
  if (version !== 1) throw new TypeError(`Cannot decode command: version ${String(version)} is not known`);
  return {
    id,
    cmp: cmp.map(([key, modRev]) => ({ key, modRev })),
    then: then.map(([key, text]) => ({ key, text })),
  };
}

function checkKey(key: string): void {
  if (key.length === 0 || !key.isWellFormed() || byteLength(key) > limits.storeKeyBytesMax) {
    throw new UserError(
      "invalid_body",
      `Cannot apply txn: a key must be 1 to ${limits.storeKeyBytesMax} bytes of text`,
    );
  }
}

function textOf(key: string, value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) {
    throw new UserError("invalid_body", `Cannot put ${JSON.stringify(key)}: the value is not JSON`);
  }
  if (byteLength(text) > limits.valueBytesMax) {
    throw new UserError(
      "too_large",
      `Cannot put ${JSON.stringify(key)}: the value is over ${limits.valueBytesMax} bytes`,
    );
  }
  return text;
}

function byteLength(text: string): number {
  return utf8.encode(text).length;
}
