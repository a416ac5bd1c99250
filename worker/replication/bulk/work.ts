import type { Txid } from "../../../shared/ids.ts";
import type { LtxHeader } from "../../../shared/ltx/ltx.ts";

/** An LTX file that a job reads, by its place among the job's inputs. */
export interface BulkInput {
  /** Its key, for messages. */
  name: string;
  minTxid: Txid;
  maxTxid: Txid;
  /** base64url; checked when it is known. */
  sha256?: string;
}

/** Facts of an LTX file that are not in its pages. */
export type BulkFacts = Pick<LtxHeader, "minTxid" | "maxTxid" | "timestampMs" | "epoch">;

/** What can be done with files that are too large for one turn of the event loop. */
export interface BulkJobs {
  /** Applies LTX files in order to a database file, which `finishDatabaseFile` then puts in its place. Headers are the inputs'. */
  restore: { job: { path: string; inputs: readonly BulkInput[] }; result: { headers: LtxHeader[] } };
  /**
   * Merges LTX files into a new one at `target`: from TXID 1 with `snapshot`, which begins where the page size last changed;
   * else into one file for each page size in a row, `target` and a number.
   */
  merge: {
    job: { target: string; inputs: readonly BulkInput[]; snapshot: boolean };
    result: { files: BulkFile[] };
  };
  /** Writes all pages of a database file, which nobody changes meanwhile, as an LTX file at `target`. */
  encode: {
    job: { source: string; target: string; facts: BulkFacts };
    result: BulkFile & { sha256: string };
  };
  /** Writes pages, which come ascending as pieces of `packedPages`, as an LTX file at `target`. */
  pages: {
    job: { target: string; header: LtxHeader };
    result: BulkFile & { sha256: string };
  };
  /** See `adoptDatabaseFile`. */
  adopt: { job: { path: string; name: string }; result: Record<string, never> };
}
export type BulkKind = keyof BulkJobs;

export interface BulkFile {
  path: string;
  header: LtxHeader;
  length: number;
}

/** The bytes of a job's inputs, each from its beginning. */
export interface BulkChunks {
  /** The next piece of an input, which the caller may keep and change; undefined at its end. */
  next(input: number): Promise<Uint8Array | undefined>;
}

/** Does such jobs, wherever that holds up nobody. On failure files may be left; their directory is the caller's to remove. */
export interface BulkWork {
  /**
   * Ends only when nothing writes any more, after an abort too.
   * @throws SystemError `object_corrupt`, `object_version`, `object_foreign`, `chain_gap`, `disk_full`; UserError of `adopt`; what `chunks` throws; the signal's reason
   */
  run<Kind extends BulkKind>(
    kind: Kind,
    job: BulkJobs[Kind]["job"],
    chunks: BulkChunks,
    signal: AbortSignal,
  ): Promise<BulkJobs[Kind]["result"]>;
}

/** For jobs that read no objects. */
export const noChunks: BulkChunks = { next: () => Promise.resolve(undefined) };

/** Where large files are made before they are sent. */
export interface Bulk {
  work: BulkWork;
  /** A directory for temporary files; made when it is needed, removed with what is around it. */
  directory: string;
}
