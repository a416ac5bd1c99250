import type { DatabaseName, Epoch, Incarnation, LogSeq, TenantId, Txid } from "../ids.ts";
import { limits } from "../limits.ts";
import type { Positions } from "../protocol/internal.ts";

/**
 * The commit log's objects (replication.md §3). FORMATS.md in shared/decisions gives the bytes; these are the same facts as types.
 */
export interface LogHeader {
  incarnation: Incarnation;
  /** The slot, as in the key. From 1. */
  seq: LogSeq;
  /** 32 lower-case hex digits, one per writer process: after a 412 it tells one's own object from a foreign one. */
  nonce: string;
  /** `seal`: nothing from this slot on is valid, whatever it holds. Only a sealer writes it. */
  kind: "entries" | "seal";
  /** Slots below may have been deleted. At most `lowWatermarkMax(seq)`; 0 while nothing ever was. */
  lowWatermark: LogSeq;
}

/** The newest slots of an unsealed log are never deleted: a sealer finds the end by them. */
export function lowWatermarkMax(seq: LogSeq): LogSeq {
  return Math.max(1, seq - limits.sealSlots) as LogSeq;
}

interface TenantFacts {
  tenant: TenantId;
  epoch: Epoch;
}

interface ChangeFacts extends TenantFacts {
  database: DatabaseName;
  txid: Txid;
  /** `nextEntryHash` of the previous entry's hash and this entry's `hashedBody`. 43 characters of base64url. */
  entryHash: string;
}

/** One flush of one database: a complete LTX file. */
export interface DataEntry extends ChangeFacts {
  kind: "data";
  /** A view into the object when decoded; of an encrypted entry the body as it stands there, until its room has opened it. */
  ltx: Uint8Array;
  encrypted?: true;
  /** Of an encrypted entry whose `ltx` is the LTX file: its body in the log. */
  stored?: Uint8Array;
}

/** A flush too large for the log: the LTX file is an object of its own, durable before this entry is written. */
export interface RefEntry extends ChangeFacts {
  kind: "ref";
  key: string;
  /** Of the object's bytes, base64url. */
  sha256: string;
  /** Bytes of the object. */
  length: number;
  encrypted?: true;
  /** Of an encrypted entry whose `sha256` is the LTX file's: what the log says in its place. */
  storedDigest?: string;
}

/** The tenant has left this worker; its databases end here. */
export interface ReleaseEntry extends TenantFacts {
  kind: "release";
  positions: Positions;
}

/** The tenant is deleted; nothing of it may be materialised any more. */
export interface DropEntry extends TenantFacts {
  kind: "drop";
}

/** All small values of the tenant under this epoch: the last one in the log counts, whole. */
export interface StateEntry extends TenantFacts {
  kind: "state";
  /** `encodeState` of them, or of an encrypted tenant what stands for that. A view into the object when decoded. */
  body: Uint8Array;
  encrypted?: true;
}

/** The footers of earlier objects, so that a recovery reads few of them. */
export interface FootersEntry {
  kind: "footers";
  footers: readonly LogFooter[];
}

/** All that is not yet under its tenant's prefix, by database; TXIDs count up by one from `firstTxid`. */
export interface DirectoryEntry {
  kind: "directory";
  databases: readonly DirectoryDatabase[];
}

export interface DirectoryDatabase extends TenantFacts {
  database: DatabaseName;
  firstTxid: Txid;
  /** Where each entry stands, ascending in `seq`. */
  entries: readonly { seq: LogSeq; kind: "data" | "ref"; offset: number; length: number }[];
}

export type LogEntry =
  | DataEntry
  | RefEntry
  | ReleaseEntry
  | DropEntry
  | StateEntry
  | FootersEntry
  | DirectoryEntry;

/** One entry as the footer tells it. `offset` and `length` span the whole entry, for `decodeLogEntry`. */
export interface LogIndexItem {
  /** `unknown`: a kind of a later version that may be skipped. */
  kind: LogEntry["kind"] | "unknown";
  tenant?: TenantId;
  database?: DatabaseName;
  epoch?: Epoch;
  txid?: Txid;
  entryHash?: string;
  encrypted?: true;
  offset: number;
  length: number;
}

export interface LogFooter {
  header: LogHeader;
  index: LogIndexItem[];
}

export const LOG_HEADER_BYTES = 64;
/** The object's last bytes: the length of its footer. */
export const LOG_FOOTER_LENGTH_BYTES = 4;
/** Before meta and body of an entry; after them stands a CRC of 8 bytes. */
export const LOG_ENTRY_HEADER_BYTES = 8;
export const LOG_CRC_BYTES = 8;
export const LOG_VERSION = 1;

export const LOG_MAGIC = 0x4d42_574c; // MBWL
export const FOOTER_MAGIC = 0x4d42_5746; // MBWF

/** An entry of an unknown kind with this flag may be skipped; without it the object must be refused. */
export const ENTRY_SKIPPABLE = 1;
/** The LTX file, here or where a REF points, or the body of a STATE is encrypted with the tenant's data key. */
export const ENTRY_ENCRYPTED = 2;

export const ENTRY_KINDS = {
  data: 1,
  ref: 2,
  release: 3,
  drop: 4,
  state: 5,
  footers: 6,
  directory: 7,
} as const satisfies Record<LogEntry["kind"], number>;

/** Whose content is the tenant's. */
export const ENCRYPTABLE_KINDS: ReadonlySet<LogEntry["kind"]> = new Set(["data", "ref", "state"]);

/** These help a recovery and may be ignored: a reader that does not know them reads more objects instead. */
export const SKIPPABLE_KINDS: ReadonlySet<LogEntry["kind"]> = new Set(["footers", "directory"]);
