/**
 * The object store contract. Drivers live in worker/objects/; correctness of the whole product rests on `putIfAbsent`
 * having exactly one winner per key, across processes, and on a winner's body being durable and whole when it returns.
 */

/** S3 storage classes that the product uses; a store without classes keeps everything in STANDARD. */
export type StorageClass = "STANDARD" | "STANDARD_IA" | "GLACIER_IR" | "GLACIER" | "DEEP_ARCHIVE";

/** Bytes, or a stream of bytes of a known length. A stream is read once and never buffered whole. */
export type ObjectBody = Uint8Array | { stream: ReadableStream<Uint8Array>; length: number };

export interface RequestOptions {
  /** Every call takes one; a driver adds its own time-out (limits.ts) besides. */
  signal?: AbortSignal;
}

export interface PutOptions extends RequestOptions {
  storageClass?: StorageClass;
  contentType?: string;
}

/**
 * - `created`: this call's bytes are the object, durable.
 * - `exists`: an object is there; these bytes are not (unless an earlier, ambiguous try of one's own wrote them: compare a nonce).
 * - `unknown`: a time-out, 409, 5xx or broken connection: it may or may not have happened, and may still happen.
 */
export type PutOutcome = "created" | "exists" | "unknown";

export interface ObjectHead {
  key: string;
  size: number;
  modifiedMs: number;
  storageClass: StorageClass;
  /** `none`: readable. `needed`: archived. `running`: being thawed. `done`: readable until the copy expires. */
  thaw: "none" | "needed" | "running" | "done";
}

export interface GetResult {
  size: number;
  stream: ReadableStream<Uint8Array>;
}

export interface ListOptions extends RequestOptions {
  prefix: string;
  /** Only keys strictly after this one, in byte order of the whole key. */
  startAfter?: string;
  /** At most this many objects plus prefixes per page; the driver may return fewer. 1..1000, default 1000. */
  limit?: number;
  /** Keys with this string after the prefix are folded into `prefixes`. */
  delimiter?: string;
}

export interface ListedObject {
  key: string;
  size: number;
  modifiedMs: number;
}

export interface ListPage {
  /** In byte order of the whole key: `a-b` precedes `a/b`. */
  objects: ListedObject[];
  prefixes: string[];
  /** Pass as `startAfter` for the next page; absent at the end. */
  next?: string;
}

/**
 * Keys are 1..1024 bytes of UTF-8, no empty, `.` or `..` segments, no leading or trailing slash, no control characters.
 * Missing objects: `get`, `range` and `head` return undefined. All else that fails throws SystemError
 * (`store_unavailable`, `store_missing`, `disk_full`, `object_corrupt`); an abort throws the signal's reason. A caller's fault is
 * UserError: `not_found` for a copy or thaw of nothing, `invalid_body` for a body that is not as long as announced.
 */
export interface ObjectStore {
  readonly kind: "file" | "s3";
  /** For logs and messages: where this is, never with credentials. */
  readonly description: string;
  putIfAbsent(key: string, body: ObjectBody, options?: PutOptions): Promise<PutOutcome>;
  /** Overwrites. Not for anything that fencing rests on. */
  put(key: string, body: ObjectBody, options?: PutOptions): Promise<void>;
  get(key: string, options?: RequestOptions): Promise<GetResult | undefined>;
  /** Bytes [offset, offset + length), cut at the object's end; or its last `suffix` bytes. */
  range(
    key: string,
    range: { offset: number; length: number } | { suffix: number },
    options?: RequestOptions,
  ): Promise<{ bytes: Uint8Array; size: number } | undefined>;
  head(key: string, options?: RequestOptions): Promise<ObjectHead | undefined>;
  list(options: ListOptions): Promise<ListPage>;
  /** Missing keys are not an error. Sent in batches of the store's own size. */
  delete(keys: readonly string[], options?: RequestOptions): Promise<void>;
  /** Server-side; multipart above the store's single-copy limit (5 GB on S3). */
  copy(from: string, to: string, options?: PutOptions): Promise<void>;
  /** Starts (or extends) a readable copy of an archived object; a no-op for readable ones. */
  thaw(key: string, days: number, options?: RequestOptions): Promise<void>;
  /** Whether it keeps what is overwritten or deleted; undefined when it does not tell. A store without this keeps nothing. */
  keepsVersions?(options?: RequestOptions): Promise<boolean | undefined>;
  /**
   * Deletes everything under a prefix with all that the store keeps of earlier versions. A store that does not let us see
   * versions deletes what can be seen.
   */
  shred?(prefix: string, options?: RequestOptions): Promise<void>;
  close(): Promise<void>;
}
