import type {
  GetResult,
  ListOptions,
  ListPage,
  ObjectBody,
  ObjectHead,
  ObjectStore,
  PutOptions,
  PutOutcome,
  RequestOptions,
} from "../../../shared/objects/contract.ts";
import { type Deadline, DeadlineError, withDeadline } from "../deadline.ts";
import { checkKey } from "../key.ts";
import { type S3Connection, type S3Options, connect } from "./client.ts";
import { copyObject } from "./copy.ts";
import { deleteObjects } from "./delete.ts";
import { s3Error } from "./errors.ts";
import { listObjects } from "./list.ts";
import { createObject, overwriteObject } from "./put.ts";
import { getObject, getRange, headObject } from "./read.ts";
import { thawObject } from "./thaw.ts";
import { deleteVersions, keepsVersions } from "./versions.ts";

/** A bucket, or a prefix of one, of any store with the S3 API. Connects at the first request. */
export function openS3Store(options: S3Options): ObjectStore {
  return new S3Store(connect(options), options.endpoint);
}

class S3Store implements ObjectStore {
  readonly kind = "s3";
  readonly description: string;
  readonly #s3: S3Connection;

  constructor(s3: S3Connection, endpoint: string | undefined) {
    this.#s3 = s3;
    this.description = `s3://${s3.bucket}/${s3.base}${endpoint === undefined ? "" : ` at ${endpoint}`}`;
  }

  async putIfAbsent(key: string, body: ObjectBody, options: PutOptions = {}): Promise<PutOutcome> {
    checkKey(key);
    try {
      return await this.#run(`store ${key}`, options.signal, (deadline) =>
        createObject(this.#s3, key, body, options, deadline),
      );
    } catch (error) {
      if (error instanceof DeadlineError) return "unknown";
      throw error;
    }
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<void> {
    checkKey(key);
    await this.#run(`store ${key}`, options.signal, (deadline) =>
      overwriteObject(this.#s3, key, body, options, deadline),
    );
  }

  async get(key: string, options: RequestOptions = {}): Promise<GetResult | undefined> {
    checkKey(key);
    return this.#run(`read ${key}`, options.signal, ({ signal }) =>
      getObject(this.#s3, key, signal, options.signal),
    );
  }

  async range(
    key: string,
    range: { offset: number; length: number } | { suffix: number },
    options: RequestOptions = {},
  ): Promise<{ bytes: Uint8Array; size: number } | undefined> {
    checkKey(key);
    return this.#run(`read ${key}`, options.signal, (deadline) => getRange(this.#s3, key, range, deadline));
  }

  async head(key: string, options: RequestOptions = {}): Promise<ObjectHead | undefined> {
    checkKey(key);
    return this.#run(`read ${key}`, options.signal, ({ signal }) => headObject(this.#s3, key, signal));
  }

  async list(options: ListOptions): Promise<ListPage> {
    return this.#run(`list ${options.prefix}`, options.signal, ({ signal }) =>
      listObjects(this.#s3, options, signal),
    );
  }

  async delete(keys: readonly string[], options: RequestOptions = {}): Promise<void> {
    keys.forEach(checkKey);
    await this.#run(`delete ${keys.length} objects`, options.signal, (deadline) =>
      deleteObjects(this.#s3, keys, deadline),
    );
  }

  async copy(from: string, to: string, options: PutOptions = {}): Promise<void> {
    checkKey(from);
    checkKey(to);
    await this.#run(`copy ${from}`, options.signal, (deadline) =>
      copyObject(this.#s3, from, to, options, deadline),
    );
  }

  async thaw(key: string, days: number, options: RequestOptions = {}): Promise<void> {
    checkKey(key);
    await this.#run(`thaw ${key}`, options.signal, ({ signal }) => thawObject(this.#s3, key, days, signal));
  }

  async keepsVersions(options: RequestOptions = {}): Promise<boolean | undefined> {
    return this.#run("ask for versions", options.signal, ({ signal }) => keepsVersions(this.#s3, signal));
  }

  async shred(prefix: string, options: RequestOptions = {}): Promise<void> {
    const done = await this.#run(`delete versions of ${prefix}`, options.signal, (deadline) =>
      deleteVersions(this.#s3, prefix, deadline),
    );
    if (done) return;
    for (;;) {
      const { objects } = await this.list({ prefix, ...options });
      if (objects.length === 0) return;
      await this.delete(
        objects.map(({ key }) => key),
        options,
      );
    }
  }

  async close(): Promise<void> {
    this.#s3.patient.destroy();
    this.#s3.once.destroy();
  }

  async #run<T>(
    what: string,
    signal: AbortSignal | undefined,
    work: (deadline: Deadline) => Promise<T>,
  ): Promise<T> {
    try {
      return await withDeadline(what, this.#s3.requestMs, signal, work);
    } catch (error) {
      if (signal?.aborted === true && error === signal.reason) throw error;
      throw s3Error(what, this.#s3.bucket, error);
    }
  }
}
