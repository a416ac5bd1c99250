import { mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";
import { SystemError, UserError } from "../../shared/errors.ts";
import { AUXILIARY_DB, DATA_DB, type DatabaseName } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { TenantRequest } from "../http/contract.ts";
import { namedUploads } from "../model/records/named-uploads.ts";
import { ATTRIBUTES, FileAttributes } from "../pb/file-attributes.ts";
import { unpackLogs } from "../pb/logs/packed.ts";
import type { Tenant } from "../tenant/contract.ts";
import { copyDatabase, storedObjects } from "../tenant/copy.ts";

/** The platform's own tables in data.db, which PocketBase does not know; they hold credentials. */
const OWN_TABLES = "_mb_";

export interface ExporterOptions {
  /** Where copies of databases lie while they are sent. */
  temporary?: string;
  parallelMax?: number;
}

/**
 * Sends tenants as tars of PocketBase data directories: data.db as of one commit, auxiliary.db with `?logs=1`, the uploads
 * without thumbs. The copy is made before the answer begins, so that it is an answer or an error; writers do not wait for it.
 */
export class Exporter {
  readonly #temporary: string | undefined;
  readonly #parallelMax: number;
  #running = 0;

  constructor(options: ExporterOptions = {}) {
    this.#temporary = options.temporary;
    this.#parallelMax = options.parallelMax ?? limits.exportsParallel;
  }

  /** @throws UserError `invalid_option`; SystemError `overloaded`, `disk_full` */
  async export({ request, tenant, seen }: TenantRequest): Promise<Response> {
    const names = wanted(new URL(request.url).searchParams);
    if (this.#running >= this.#parallelMax) {
      throw new SystemError("overloaded", "Cannot export: this worker sends other exports now", {
        hint: "Try again when they are done.",
        retryAfterMs: 10_000,
      });
    }
    this.#running++;
    let directory: string | undefined;
    const end = async (): Promise<void> => {
      this.#running--;
      if (directory !== undefined) await rm(directory, { recursive: true, force: true });
    };
    try {
      const signal = AbortSignal.any([request.signal, AbortSignal.timeout(limits.exportMs)]);
      // What is sent afterwards lies in the copy and in the store: the tenant may leave meanwhile.
      const copying = AbortSignal.any([signal, tenant.gone]);
      directory = await mkdtemp(join(this.#temporary ?? tenant.temporary, "export-"));
      const databases: [DatabaseName, string][] = [];
      if (names.includes(AUXILIARY_DB)) await unpackLogs(tenant);
      for (const name of names) {
        const path = await copyDatabase(tenant, seen, name, directory, {
          signal: copying,
          withoutTables: OWN_TABLES,
        });
        if (path !== undefined) databases.push([name, path]);
      }
      return new Response(send(tenant, databases, signal, end), {
        headers: {
          "content-type": "application/x-tar",
          "content-disposition": `attachment; filename="${tenant.slug}.tar"`,
          "cache-control": "no-store",
        },
      });
    } catch (error) {
      await end();
      throw error;
    }
  }
}

function wanted(query: URLSearchParams): DatabaseName[] {
  const logs = query.get("logs") ?? "0";
  if (logs !== "0" && logs !== "1") {
    throw new UserError("invalid_option", "Cannot export: logs is neither 0 nor 1");
  }
  return logs === "1" ? [DATA_DB, AUXILIARY_DB] : [DATA_DB];
}

/** A tar that ends without its two blocks of zeros was broken off. */
function send(
  tenant: Tenant,
  databases: readonly [DatabaseName, string][],
  signal: AbortSignal,
  end: () => Promise<void>,
): ReadableStream<Uint8Array> {
  const archive = pack();
  const broken = (): void => archive.destroy(signal.reason as Error);
  signal.addEventListener("abort", broken, { once: true });
  // Told to whoever reads; without a listener the process would end when nobody does.
  archive.on("error", () => undefined);
  void fill(archive, tenant, databases, signal)
    .catch((error: unknown) => archive.destroy(error as Error))
    .finally(() => {
      signal.removeEventListener("abort", broken);
      void end();
    });
  return Readable.toWeb(Readable.from(archive)) as unknown as ReadableStream<Uint8Array>;
}

async function fill(
  archive: Pack,
  tenant: Tenant,
  databases: readonly [DatabaseName, string][],
  signal: AbortSignal,
): Promise<void> {
  for (const [name, path] of databases) {
    signal.throwIfAborted();
    // Open before anything can end: a stream that opens by itself may do so when the directory is gone, and nobody hears its error.
    await using file = await open(path);
    const { size } = await file.stat();
    const source = file.createReadStream({ autoClose: false });
    await pipeline(source, archive.entry({ name, size }), { signal });
  }
  const named = (keys: readonly string[]): ReadonlySet<string> => namedUploads(tenant, keys);
  const uploads = storedObjects(tenant, { signal, thumbs: false, named });
  for await (const { name, size, modifiedMs, stream } of uploads) {
    const [path, mtime] = [`storage/${name}`, new Date(modifiedMs)];
    const attributes = new FileAttributes();
    const source = attributes.watch(Readable.fromWeb(stream as never));
    await pipeline(source, archive.entry({ name: path, size, mtime }), { signal });
    archive.entry({ name: path + ATTRIBUTES, mtime }, await attributes.json());
  }
  archive.finalize();
}
