import { UserError } from "../../shared/errors.ts";
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
} from "../../shared/objects/contract.ts";
import type { DataKeys } from "./data-key.ts";
import { downgraded, tampered } from "./errors.ts";
import { contentOf, isPlainLtx, ownerOf, plainName, storedName } from "./names.ts";
import {
  Opener,
  SEALED_HEADER_BYTES,
  type SealedAs,
  contentSize,
  segment,
  segmentAt,
  segmentCount,
} from "./sealed.ts";
import { openStream, sealBody } from "./sealed-stream.ts";
import type { TenantKeys } from "./tenant-keys.ts";

type Range = { offset: number; length: number } | { suffix: number };

/**
 * The store, whose objects of encrypted tenants are sealed on the way in and opened on the way out; names and sizes are those of
 * the content. Content of a tenant that is not open here is refused (`tenant_stopped`).
 *
 * Besides the contract's errors: `object_corrupt` for what is changed, cut off, swapped or plain; `data_key_missing`.
 */
export function encryptedStore(store: ObjectStore, keys: TenantKeys): ObjectStore {
  return new EncryptedStore(store, keys);
}

class EncryptedStore implements ObjectStore {
  readonly kind: ObjectStore["kind"];
  readonly description: string;
  readonly #store: ObjectStore;
  readonly #keys: TenantKeys;

  constructor(store: ObjectStore, keys: TenantKeys) {
    this.kind = store.kind;
    this.description = store.description;
    this.#store = store;
    this.#keys = keys;
  }

  async putIfAbsent(key: string, body: ObjectBody, options: PutOptions = {}): Promise<PutOutcome> {
    const keys = this.#of(key);
    if (keys === undefined) return this.#store.putIfAbsent(key, body, options);
    const sealed = sealBody(keys, sealedAs(key), body, this.#keys.randomBytes, options.signal);
    return this.#store.putIfAbsent(storedName(key), sealed, untold(options));
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<void> {
    const keys = this.#of(key);
    if (keys === undefined) return this.#store.put(key, body, options);
    const sealed = sealBody(keys, sealedAs(key), body, this.#keys.randomBytes, options.signal);
    return this.#store.put(storedName(key), sealed, untold(options));
  }

  async get(key: string, options: RequestOptions = {}): Promise<GetResult | undefined> {
    const keys = this.#of(key);
    if (keys === undefined) return this.#store.get(key, options);
    const found = await this.#store.get(storedName(key), options);
    return found && openStream(keys, sealedAs(key), found.stream, found.size, options.signal);
  }

  async range(
    key: string,
    range: Range,
    options: RequestOptions = {},
  ): Promise<{ bytes: Uint8Array; size: number } | undefined> {
    const keys = this.#of(key);
    if (keys === undefined) return this.#store.range(key, range, options);
    return this.#openRange(keys, key, range, options);
  }

  async head(key: string, options: RequestOptions = {}): Promise<ObjectHead | undefined> {
    const keys = this.#of(key);
    if (keys === undefined) return this.#store.head(key, options);
    const found = await this.#store.head(storedName(key), options);
    return found && { ...found, key, size: contentSize(found.size) ?? 0 };
  }

  async list(options: ListOptions): Promise<ListPage> {
    const { prefix, startAfter } = options;
    if (contentOf(prefix) !== undefined) this.#of(prefix);
    // The sealed name sorts right after the plain one, and must not come once more.
    const after = startAfter === undefined ? {} : { startAfter: this.#sealedName(startAfter) };
    const page = await this.#store.list({ ...options, ...after });
    return {
      objects: page.objects.map(({ key, size, modifiedMs }) => {
        const tenant = contentOf(key);
        if (tenant === undefined || !this.#keys.isOpen(tenant) || this.#keys.of(tenant) === undefined) {
          return { key, size, modifiedMs };
        }
        if (isPlainLtx(key)) throw downgraded(key);
        // What has an impossible size is refused when it is read; one foreign upload must not hide the others.
        return { key: plainName(key), size: contentSize(size) ?? 0, modifiedMs };
      }),
      prefixes: page.prefixes,
      ...(page.next === undefined ? {} : { next: page.next }),
    };
  }

  async delete(keys: readonly string[], options: RequestOptions = {}): Promise<void> {
    return this.#store.delete(
      keys.map((key) => this.#sealedName(key)),
      options,
    );
  }

  async copy(from: string, to: string, options: PutOptions = {}): Promise<void> {
    const source = this.#of(from);
    const target = this.#of(to);
    if (source === undefined && target === undefined) return this.#store.copy(from, to, options);
    const found = await this.get(from, options);
    if (found === undefined) throw new UserError("not_found", `Cannot copy ${from}: it does not exist`);
    await this.put(to, { stream: found.stream, length: found.size }, options);
  }

  async thaw(key: string, days: number, options: RequestOptions = {}): Promise<void> {
    return this.#store.thaw(this.#sealedName(key), days, options);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /** Undefined: what stands there is not sealed. @throws SystemError `tenant_stopped` */
  #of(key: string): DataKeys | undefined {
    const tenant = contentOf(key);
    return tenant === undefined ? undefined : this.#keys.of(tenant);
  }

  /** @throws SystemError `tenant_stopped` when that depends on a tenant that is not open */
  #sealedName(key: string): string {
    const stored = storedName(key);
    const tenant = ownerOf(key);
    if (stored === key || tenant === undefined) return key;
    return this.#keys.of(tenant) === undefined ? key : stored;
  }

  /** The header and the segments that hold the range: one request when they stand together, else two. */
  async #openRange(
    keys: DataKeys,
    key: string,
    range: Range,
    options: RequestOptions,
  ): Promise<{ bytes: Uint8Array; size: number } | undefined> {
    const stored = storedName(key);
    const wanted = "suffix" in range ? 0 : range.offset + range.length;
    // Segments are opened whole. Where the range begins near the header both are read at once.
    const isNear = "suffix" in range || segmentAt(range.offset) === 0;
    const lastWanted = segmentAt(Math.max(0, wanted - 1));
    const reach = isNear && wanted > 0 ? segment(lastWanted, Infinity).sealedEnd : SEALED_HEADER_BYTES;
    const head = await this.#store.range(stored, { offset: 0, length: reach }, options);
    if (head === undefined) return undefined;
    const opener = new Opener(keys, sealedAs(key), head.bytes.subarray(0, SEALED_HEADER_BYTES));
    const size = contentSize(head.size);
    if (size === undefined) throw tampered(key, "it is cut off");
    const [start, end] =
      "suffix" in range
        ? [Math.max(0, size - range.suffix), size]
        : [Math.min(range.offset, size), Math.min(wanted, size)];
    if (start >= end) return { bytes: new Uint8Array(), size };
    const [first, last] = [segmentAt(start), segmentAt(end - 1)];
    const from = segment(first, size).sealedStart;
    const until = segment(last, size).sealedEnd;
    let sealed = head.bytes.subarray(from, until);
    if (head.bytes.length < until) {
      const rest = await this.#store.range(stored, { offset: from, length: until - from }, options);
      if (rest?.size !== head.size) throw tampered(key, "it was replaced while it was read");
      sealed = rest.bytes;
    }
    const bytes = new Uint8Array(end - start);
    for (let i = first; i <= last; i++) {
      const at = segment(i, size);
      const content = opener.open(
        i,
        i === segmentCount(size) - 1,
        sealed.subarray(at.sealedStart - from, at.sealedEnd - from),
      );
      const skip = Math.max(0, start - at.start);
      bytes.set(content.subarray(skip, end - at.start), Math.max(0, at.start - start));
    }
    return { bytes, size };
  }
}

const sealedAs = (key: string): SealedAs => ({ kind: "object", name: key });

/** A content type says something of the content. */
function untold(options: PutOptions): PutOptions {
  const told = { ...options };
  delete told.contentType;
  return told;
}
