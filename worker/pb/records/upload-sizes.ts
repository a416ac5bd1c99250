/**
 * How long the uploads are that a tenant's records name, for its storage quota: a row for each in a hidden table of data.db, changed in
 * the transaction that changes the record, so that neither a crash nor a restore makes it wrong. A tenant that never had a quota has none.
 */
import { limits } from "../../../shared/limits.ts";
import { storagePrefix } from "../../../shared/objects/layout.ts";
import type { ListedObject } from "../../../shared/objects/contract.ts";
import { createLog } from "../../log.ts";
import type { PendingRecord, RecordChange } from "../../model/contract.ts";
import { modelOf } from "../../model/model.ts";
import { namedUploads } from "../../model/records/named-uploads.ts";
import type { SqlReader } from "../../sqlite/contract.ts";
import type { Tenant, WriteTransaction } from "../../tenant/contract.ts";
import { droppedFiles } from "./files-of.ts";

const log = createLog("files");

const TABLE =
  "CREATE TABLE IF NOT EXISTS `_mb_uploads` (file TEXT PRIMARY KEY NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID";
/** No file is called so: all that were there before the table are in it. */
const COMPLETE = "";

/** Tenant slot: keeps count. Asking for it attaches it. */
export const uploadSizes = { create: (tenant: Tenant): UploadSizes => new UploadSizes(tenant) };

export class UploadSizes {
  readonly #tenant: Tenant;
  #counting: Promise<void> | undefined;
  #isCounted = false;

  constructor(tenant: Tenant) {
    this.#tenant = tenant;
    const model = modelOf(tenant);
    model.listen((tx, change) => this.#forget(tx, change));
    model.listenCollections((tx, { action, collection }) => {
      // Its records are not told of one by one.
      if (action !== "delete" || !hasTable(tx)) return;
      const range = [`${collection.id}/`, `${collection.id}0`];
      this.#changed(tx, -sum(tx, "WHERE file >= ? AND file < ?", range));
      tx.run("DELETE FROM `_mb_uploads` WHERE file >= ? AND file < ?", range);
    });
    if (tenant.quota === undefined) return;
    tenant.onReplaced(() => {
      this.#isCounted = false;
      void this.counted().catch((error: unknown) => this.#failed(error));
    });
    void this.counted().catch((error: unknown) => this.#failed(error));
  }

  /** Resolves when the quota knows the uploads; lists them in the store once in a tenant's life. */
  counted(): Promise<void> {
    if (this.#isCounted || this.#tenant.quota === undefined) return Promise.resolve();
    this.#counting ??= this.#count().finally(() => (this.#counting = undefined));
    return this.#counting;
  }

  /** With the record that names them. */
  note(tx: WriteTransaction, { collection, id, uploads }: PendingRecord): void {
    if (uploads.size === 0 || !hasTable(tx)) return;
    let bytes = 0;
    for (const [name, { file }] of uploads) {
      bytes += put(tx, `${collection.id}/${id}/${name}`, file.size);
    }
    this.#changed(tx, bytes);
  }

  #forget(tx: WriteTransaction, change: RecordChange): void {
    const gone = droppedFiles(change);
    if (gone.length === 0 || !hasTable(tx)) return;
    const { id, collection } = change.record;
    for (const name of gone) this.#uncount(tx, `${collection.id}/${id}/${name}`);
  }

  #changed(tx: WriteTransaction, bytes: number): void {
    const { quota } = this.#tenant;
    if (quota === undefined || bytes === 0) return;
    tx.withinQuota(bytes);
    tx.afterCommit(() => {
      if (this.#isCounted) quota.uploadBytes += bytes;
    });
  }

  async #count(): Promise<void> {
    const { data, quota } = this.#tenant;
    if (quota === undefined) return;
    const isComplete = (db: SqlReader): boolean =>
      hasTable(db) && db.get("SELECT 1 FROM `_mb_uploads` WHERE file = ?", [COMPLETE]) !== undefined;
    if (!data.read(this.#tenant.observe(), isComplete)) await this.#listAll();
    await data.write(this.#tenant.observe(), (tx) => {
      if (!isComplete(tx)) put(tx, COMPLETE, 0);
      const bytes = sum(tx, "", []);
      tx.afterCommit(() => {
        quota.uploadBytes = bytes;
        this.#isCounted = true;
      });
    });
  }

  /** What records name now; what they name from now on is noted by themselves. */
  async #listAll(): Promise<void> {
    const { data, id } = this.#tenant;
    const { length } = storagePrefix(id);
    await data.write(this.#tenant.observe(), (tx) => tx.exec(TABLE));
    for await (const files of uploadPages(this.#tenant)) {
      await data.write(this.#tenant.observe(), (tx) => {
        // Under the write lock the newest commit is the state before this transaction.
        for (const { key, size } of onlyNamed(this.#tenant, files)) put(tx, key.slice(length), size);
      });
    }
  }

  /** Of these uploads those that no record names any more count no more: raw SQL deletes records behind the model's back. */
  recount(keys: readonly string[]): void {
    const { data, quota, id } = this.#tenant;
    if (quota === undefined || keys.length === 0) return;
    const { length } = storagePrefix(id);
    const counted = (db: SqlReader): string[] =>
      hasTable(db) ? keys.filter((key) => sum(db, "WHERE file = ?", [key.slice(length)]) > 0) : [];
    // Asked first: a write that changes nothing would still be replicated.
    if (data.read(this.#tenant.observe(), counted).length === 0) return;
    void (async () => {
      await data.write(this.#tenant.observe(), (tx) => {
        const found = counted(tx);
        const named = namedUploads(this.#tenant, found);
        for (const key of found) if (!named.has(key)) this.#uncount(tx, key.slice(length));
      });
    })().catch((error: unknown) => this.#failed(error));
  }

  #uncount(tx: WriteTransaction, file: string): void {
    const bytes = sum(tx, "WHERE file = ?", [file]);
    tx.run("DELETE FROM `_mb_uploads` WHERE file = ?", [file]);
    this.#changed(tx, -bytes);
  }

  /** The next upload tries again. */
  #failed(error: unknown): void {
    if (this.#tenant.gone.aborted) return;
    log.warn({ err: error, tenant: this.#tenant.id }, "could not count the uploads of a tenant");
  }
}

/** As `namedUploads`, for maintenance, which asks for every upload now and then: the quota's count is put right on that occasion. */
export function namedUploadsCounted(tenant: Tenant, keys: readonly string[]): ReadonlySet<string> {
  const named = namedUploads(tenant, keys);
  tenant.slot(uploadSizes).recount(keys.filter((key) => !named.has(key)));
  return named;
}

/** As the quota counts them; without one they are listed. */
export async function uploadBytesOf(tenant: Tenant): Promise<number> {
  if (tenant.quota !== undefined) {
    await tenant.slot(uploadSizes).counted();
    return tenant.quota.uploadBytes;
  }
  let bytes = 0;
  for await (const files of uploadPages(tenant)) {
    for (const { size } of onlyNamed(tenant, files)) bytes += size;
  }
  return bytes;
}

async function* uploadPages(tenant: Tenant): AsyncGenerator<ListedObject[]> {
  const prefix = storagePrefix(tenant.id);
  let startAfter: string | undefined;
  do {
    const signal = AbortSignal.any([tenant.gone, AbortSignal.timeout(limits.storeRequestMs)]);
    const page = await tenant.objects.list({
      prefix,
      signal,
      limit: limits.storeListPage,
      ...(startAfter === undefined ? {} : { startAfter }),
    });
    // A file of a record has three parts, a thumb four.
    yield page.objects.filter(({ key }) => key.slice(prefix.length).split("/").length === 3);
    startAfter = page.next;
  } while (startAfter !== undefined);
}

function onlyNamed(tenant: Tenant, files: readonly ListedObject[]): ListedObject[] {
  const named = namedUploads(
    tenant,
    files.map(({ key }) => key),
  );
  return files.filter(({ key }) => named.has(key));
}

/** @returns by how many bytes the table says more now */
function put(tx: WriteTransaction, file: string, bytes: number): number {
  const before = sum(tx, "WHERE file = ?", [file]);
  tx.run("INSERT OR REPLACE INTO `_mb_uploads` (file, bytes) VALUES (?, ?)", [file, bytes]);
  return bytes - before;
}

function sum(db: SqlReader, where: string, params: readonly string[]): number {
  const [row] = db.values(`SELECT coalesce(sum(bytes), 0) FROM \`_mb_uploads\` ${where}`, params);
  return Number(row?.[0] ?? 0);
}

function hasTable(db: SqlReader): boolean {
  return db.get("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_mb_uploads'") !== undefined;
}
