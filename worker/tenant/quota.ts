import { UserError } from "../../shared/errors.ts";
import type { StorageQuota } from "./contract.ts";
import type { LoadedDatabase } from "./loaded-database.ts";

/** The storage quota of a loaded tenant, checked where bytes come in: commits, uploads, whole databases. */
export class TenantQuota implements StorageQuota {
  readonly bytesMax: number;
  uploadBytes = 0;
  readonly #databases: () => Iterable<LoadedDatabase>;

  constructor(bytesMax: number, databases: () => Iterable<LoadedDatabase>) {
    this.bytesMax = bytesMax;
    this.#databases = databases;
  }

  databaseBytes(): number {
    return this.#sum(() => false);
  }

  /** @param bytes - of this database when the commit is done @throws UserError `storage_full` */
  checkGrowth(database: LoadedDatabase, bytes: number, uploadBytes: number): void {
    const others = this.#sum((one) => one === database);
    this.#check(others + bytes + this.uploadBytes + uploadBytes, "write");
  }

  /** Whole files in the place of databases. @throws UserError `storage_full` */
  checkReplacement(files: ReadonlyMap<string, number>): void {
    const replaced = [...files.values()].reduce((sum, bytes) => sum + bytes, 0);
    this.#check(this.#sum(({ name }) => files.has(name)) + replaced, "replace databases");
  }

  #sum(isLeftOut: (database: LoadedDatabase) => boolean): number {
    let bytes = 0;
    for (const database of this.#databases()) if (!isLeftOut(database)) bytes += database.bytes;
    return bytes;
  }

  #check(bytes: number, verb: string): void {
    if (bytes > this.bytesMax) throw storageFull(verb, this.bytesMax);
  }
}

export function storageFull(verb: string, bytesMax: number): UserError {
  return new UserError("storage_full", `Cannot ${verb}: the storage quota of ${bytesMax} bytes is used up`, {
    hint: "Delete records or files, or ask for a larger quota.",
    details: { storageBytesMax: bytesMax },
  });
}
