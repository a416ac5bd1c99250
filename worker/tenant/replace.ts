import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../shared/errors.ts";
import { DATA_DB, type DatabaseName } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { type LtxPage, lockPage } from "../../shared/ltx/ltx.ts";
import { type BulkWork, noChunks } from "../replication/bulk/work.ts";
import { imagePageSize } from "../replication/capture.ts";
import { asDiskFull } from "../replication/disk-full.ts";
import { adoptDatabaseFile } from "../sqlite/validate.ts";
import type { LoadedTenant } from "./loaded-tenant.ts";
import type { LogQueue, LoggedCut } from "./log-queue.ts";
import type { RequestObservation } from "./observation.ts";

/**
 * Puts whole SQLite files in the place of databases, each as one new TXID with every page. Large ones are uploaded before
 * anything is swapped, so that a store that is slow or away costs nobody the old content.
 *
 * @throws UserError `invalid_import`, `too_large`, `storage_full`
 */
export async function replaceDatabases(
  tenant: LoadedTenant,
  queue: LogQueue,
  seen: RequestObservation,
  files: ReadonlyMap<DatabaseName, string>,
  options: { work: BulkWork; broken: (error: unknown) => void },
): Promise<void> {
  const { work, broken } = options;
  tenant.checkWritable();
  tenant.database(DATA_DB).admit();
  const staging = mkdtempSync(join(tenant.directory, "import-"));
  try {
    const staged = new Map<DatabaseName, string>();
    for (const [name, source] of files) {
      staged.set(name, await stage({ directory: staging, name, source, work, signal: tenant.gone }));
    }
    tenant.quota?.checkReplacement(new Map([...staged].map(([name, path]) => [name, statSync(path).size])));
    await tenant.lock.enter();
    try {
      await queue.cutNow(tenant);
      await swap({ tenant, queue, seen, work }, staged);
    } catch (error) {
      // A TXID may be given out that no entry holds, or a file be half in place: what is durable is loaded again.
      broken(error);
      throw error;
    } finally {
      tenant.lock.leave();
    }
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

interface Desk {
  tenant: LoadedTenant;
  queue: LogQueue;
  seen: RequestObservation;
  work: BulkWork;
}

async function swap(
  { tenant, queue, seen, work }: Desk,
  staged: ReadonlyMap<DatabaseName, string>,
): Promise<void> {
  const cuts: LoggedCut[] = [];
  for (const [name, path] of staged) {
    const database = tenant.database(name);
    const cut = isLarge(path)
      ? await database.cuts.cutEncoded((facts) => {
          const job = { source: path, target: `${path}.ltx`, facts };
          return work.run("encode", job, noChunks, tenant.gone);
        })
      : withPages(path, (file) => database.cuts.cutFile(file));
    const key = cut.sha256 === undefined ? undefined : await queue.uploadLarge(tenant, cut);
    cuts.push({ database, cut, key });
  }
  tenant.checkHere();
  // One turn from here: no request may see some databases old and some new.
  for (const { database, cut } of cuts) {
    database.cuts.replace(cut, () => renameSync(staged.get(database.name) as string, database.path));
    seen.noteWrite(database);
  }
  queue.add(tenant, cuts);
  tenant.replaced();
}

const isLarge = (path: string): boolean => statSync(path).size > limits.bulkBytesMin;

async function stage(file: {
  directory: string;
  name: DatabaseName;
  source: string;
  work: BulkWork;
  signal: AbortSignal;
}): Promise<string> {
  const { directory, name, source, work, signal } = file;
  const path = join(directory, name);
  const bytes = statSync(source, { throwIfNoEntry: false })?.size;
  if (bytes === undefined)
    throw new UserError("invalid_import", `Cannot import ${name}: there is no such file`);
  if (bytes > limits.replaceDatabaseBytesMax) {
    throw new UserError("too_large", `Cannot import ${name}: ${bytes} bytes are too many`, {
      hint: `At most ${limits.replaceDatabaseBytesMax} bytes; VACUUM may make it smaller.`,
    });
  }
  // What a stopped or killed server has not folded in yet, beside the file, belongs to the database.
  const parts = ["", "-wal", "-journal"].filter((suffix) => existsSync(`${source}${suffix}`));
  const large = parts.some((suffix) => isLarge(`${source}${suffix}`));
  try {
    for (const suffix of parts) {
      if (large) await copyFile(`${source}${suffix}`, `${path}${suffix}`, constants.COPYFILE_FICLONE);
      else copyFileSync(`${source}${suffix}`, `${path}${suffix}`);
    }
  } catch (error) {
    throw asDiskFull(error, `import ${name}`);
  }
  if (large) await work.run("adopt", { path, name }, noChunks, signal);
  else adoptDatabaseFile(path, name);
  return path;
}

function withPages<T>(
  path: string,
  use: (file: { pageSize: number; commit: number; pages: Iterable<LtxPage> }) => T,
): T {
  const fd = openSync(path, "r");
  try {
    const header = new Uint8Array(100);
    readSync(fd, header, 0, header.length, 0);
    const pageSize = imagePageSize(header);
    const commit = statSync(path).size / pageSize;
    return use({ pageSize, commit, pages: filePages(fd, pageSize, commit) });
  } finally {
    closeSync(fd);
  }
}

function* filePages(fd: number, pageSize: number, commit: number): Generator<LtxPage> {
  const lock = lockPage(pageSize);
  for (let pgno = 1; pgno <= commit; pgno++) {
    if (pgno === lock) continue;
    const data = new Uint8Array(pageSize);
    readSync(fd, data, 0, pageSize, (pgno - 1) * pageSize);
    yield { pgno, data };
  }
}
