import { SystemError, UserError } from "../../../shared/errors.ts";
import { randomText } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
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
import { guardedStream } from "../stream.ts";
import { Directories } from "./directories.ts";
import { type Disk, diskError, realDisk, unless } from "./disk.ts";
import { listPage } from "./list.ts";
import { objectPath } from "./names.ts";
import { type Writing, publishIfAbsent, publishOver } from "./publish.ts";
import { type OpenObject, bodyChunks, clampRange, openObject, readExactly } from "./read.ts";
import { removeObjects } from "./remove.ts";
import { type Root, checkRoot, openRoot } from "./root.ts";
import { Staging } from "./staging.ts";

export interface FileStoreOptions {
  disk?: Disk;
  /** Time for one request, and for each step of a streamed one. */
  requestMs?: number;
  /** After it an unread stream fails. */
  readIdleMs?: number;
}

/**
 * A directory as object store, shared by any number of processes of one machine. Made when it is not there.
 * @throws UserError `invalid_directory`, SystemError `object_version`, `store_misbehaves`, `disk_full`
 */
export async function openFileStore(path: string, options: FileStoreOptions = {}): Promise<ObjectStore> {
  const disk = options.disk ?? realDisk;
  const nonce = randomText(20, "abcdefghijklmnopqrstuvwxyz0123456789");
  const root = await openRoot(disk, path, nonce);
  return new FileStore(disk, root, nonce, options);
}

class FileStore implements ObjectStore {
  readonly kind = "file";
  readonly description: string;
  readonly #disk: Disk;
  readonly #root: Root;
  readonly #writing: Writing;
  readonly #requestMs: number;
  readonly #readIdleMs: number;
  /** What is still at the disk, also after its caller stopped waiting. */
  readonly #active = new Set<Promise<unknown>>();

  constructor(disk: Disk, root: Root, nonce: string, options: FileStoreOptions) {
    this.description = `file:${root.path}`;
    this.#disk = disk;
    this.#root = root;
    this.#requestMs = options.requestMs ?? limits.storeRequestMs;
    this.#readIdleMs = options.readIdleMs ?? limits.storeReadIdleMs;
    this.#writing = {
      disk,
      base: root.objects,
      staging: new Staging(disk, root.temporary, nonce),
      directories: new Directories(disk, root.objects),
    };
  }

  async putIfAbsent(key: string, body: ObjectBody, options: PutOptions = {}): Promise<PutOutcome> {
    checkKey(key);
    try {
      return await this.#run(`store ${key}`, options.signal, (deadline) =>
        publishIfAbsent(this.#writing, key, body, options, deadline),
      );
    } catch (error) {
      if (error instanceof DeadlineError) return "unknown";
      throw error;
    }
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<void> {
    checkKey(key);
    await this.#run(`store ${key}`, options.signal, (deadline) =>
      publishOver(
        this.#writing,
        key,
        () => this.#writing.staging.write(key, body, options.storageClass, deadline),
        deadline,
      ),
    );
  }

  async get(key: string, options: RequestOptions = {}): Promise<GetResult | undefined> {
    const object = await this.#open(key, options.signal);
    if (object === undefined) return undefined;
    const { size, body } = object;
    if (body !== undefined) {
      await object.handle.close();
      return { size, stream: oneChunk(body) };
    }
    const chunks = bodyChunks(key, object, this.#readIdleMs);
    const stream = guardedStream(`read ${key}`, chunks, this.#requestMs, options.signal);
    return { size, stream };
  }

  async range(
    key: string,
    range: { offset: number; length: number } | { suffix: number },
    options: RequestOptions = {},
  ): Promise<{ bytes: Uint8Array; size: number } | undefined> {
    return this.#run(`read ${key}`, options.signal, async () => {
      const object = await this.#tryOpen(key);
      if (object === undefined) return undefined;
      const { handle, size, body } = object;
      try {
        const { offset, length } = clampRange(size, range);
        const bytes =
          body?.slice(offset, offset + length) ?? (await readExactly(handle, key, offset, length));
        return { bytes, size };
      } finally {
        await handle.close();
      }
    });
  }

  async head(key: string, options: RequestOptions = {}): Promise<ObjectHead | undefined> {
    const object = await this.#open(key, options.signal);
    if (object === undefined) return undefined;
    await object.handle.close();
    const { size, modifiedMs, storageClass } = object;
    return { key, size, modifiedMs, storageClass, thaw: "none" };
  }

  async list(options: ListOptions): Promise<ListPage> {
    return this.#run(`list ${options.prefix}`, options.signal, async ({ signal }) => {
      const page = await listPage(this.#disk, this.#root.objects, { ...options, signal });
      if (page !== undefined) return page;
      await checkRoot(this.#disk, this.#root);
      return { objects: [], prefixes: [] };
    });
  }

  async delete(keys: readonly string[], options: RequestOptions = {}): Promise<void> {
    keys.forEach(checkKey);
    await this.#run(`delete ${keys.length} objects`, options.signal, ({ signal, progress }) =>
      removeObjects(this.#writing, keys, signal, progress),
    );
  }

  async copy(from: string, to: string, options: PutOptions = {}): Promise<void> {
    checkKey(from);
    checkKey(to);
    await this.#run(`copy ${from}`, options.signal, async (deadline) => {
      const source = objectPath(this.#root.objects, from).path;
      if ((await unless(["ENOENT"], this.#disk.stat(source))) === undefined) throw await this.#absent(from);
      const stage = (): Promise<string> => this.#writing.staging.copy(from, source, options.storageClass);
      await publishOver(this.#writing, to, stage, deadline);
    });
  }

  /** All classes are readable here; only that the object exists is checked. */
  async thaw(key: string, _days: number, options: RequestOptions = {}): Promise<void> {
    if ((await this.head(key, options)) === undefined) throw await this.#absent(key);
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#active);
    this.#writing.directories.close();
  }

  async #absent(key: string): Promise<UserError> {
    await checkRoot(this.#disk, this.#root);
    return new UserError("not_found", `Cannot find object ${key}: it is not in the store`);
  }

  #open(key: string, signal: AbortSignal | undefined): Promise<OpenObject | undefined> {
    return this.#run(`read ${key}`, signal, async (deadline) => {
      const object = await this.#tryOpen(key);
      if (!deadline.signal.aborted) return object;
      await object?.handle.close();
      throw deadline.signal.reason;
    });
  }

  async #tryOpen(key: string): Promise<OpenObject | undefined> {
    checkKey(key);
    const { path } = objectPath(this.#root.objects, key);
    const object = await unless(["ENOENT"], openObject(this.#disk, key, path));
    if (object === undefined) await checkRoot(this.#disk, this.#root);
    return object;
  }

  async #run<T>(
    what: string,
    signal: AbortSignal | undefined,
    work: (deadline: Deadline) => Promise<T>,
  ): Promise<T> {
    try {
      return await withDeadline(what, this.#requestMs, signal, (deadline) => {
        const active = work(deadline);
        this.#active.add(active);
        const done = (): void => void this.#active.delete(active);
        active.then(done, done);
        return active;
      });
    } catch (error) {
      if (signal?.aborted === true && error === signal.reason) throw error;
      throw await this.#meaning(what, error);
    }
  }

  /** A missing file where none may be missing: has the whole directory gone? */
  async #meaning(what: string, error: unknown): Promise<unknown> {
    const meant = diskError(what, error);
    if (!(meant instanceof SystemError) || meant.code !== "store_unavailable") return meant;
    return checkRoot(this.#disk, this.#root).then(
      () => meant,
      (lost: unknown) => (lost instanceof SystemError ? lost : meant),
    );
  }
}

function oneChunk(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes);
      controller.close();
    },
  });
}
