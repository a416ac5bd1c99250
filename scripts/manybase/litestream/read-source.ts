import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "../../../shared/errors.ts";
import { isLtxTree, restoreLtxTree } from "./ltx-tree.ts";
import { restoreGeneration } from "./read-generation.ts";

/** What an import sends: databases by name, and the directory of uploads. */
export interface ImportSource {
  /** What the directory was found to be, for people. */
  described: string[];
  databases: { name: string; path: string }[];
  storage: string | undefined;
  /** Removes what was built. */
  close(): Promise<void>;
}

export interface SourceOptions {
  /** Where uploads are, when not in `storage` beside the databases. */
  storage?: string;
  /** Of Litestream 0.3; the newest when absent. */
  generation?: string;
}

const DATABASES = ["data.db", "auxiliary.db"] as const;
/** Changes beside a database file belong to it: newest commits, or what is to be taken back. */
const COMPANIONS = ["-wal", "-journal"] as const;

/**
 * Recognises a PocketBase data directory, a replica of Litestream 0.5 (LTX) or 0.3 (generations), or a directory of one of these
 * per database (`data.db/`, `auxiliary.db/`). Databases of replicas are built in a temporary directory.
 *
 * @throws UserError `invalid_directory` when it is none of these, or a replica is damaged or has holes
 */
export async function openImportSource(directory: string, options: SourceOptions): Promise<ImportSource> {
  const temporary = await mkdtemp(join(tmpdir(), "manybase-import-"));
  const close = (): Promise<void> => rm(temporary, { recursive: true, force: true });
  try {
    const source: ImportSource = {
      described: [],
      databases: [],
      storage: await storageOf(directory, options.storage),
      close,
    };
    for (const name of DATABASES) {
      const path = join(directory, name);
      const kind = await kindOf(path);
      if (kind === "file") {
        for (const suffix of ["", ...COMPANIONS]) {
          if ((await kindOf(path + suffix)) === "file")
            source.databases.push({ name: name + suffix, path: path + suffix });
        }
      } else if (kind === "directory") {
        await addReplica(source, path, name, temporary, options);
      }
    }
    if (source.databases.length === 0) await addReplica(source, directory, "data.db", temporary, options);
    if (!source.databases.some(({ name }) => name === "data.db")) {
      throw unknown(directory);
    }
    return source;
  } catch (error) {
    await close();
    throw error;
  }
}

async function addReplica(
  source: ImportSource,
  directory: string,
  name: string,
  temporary: string,
  { generation }: SourceOptions,
): Promise<void> {
  const path = join(temporary, name);
  if ((await kindOf(join(directory, "generations"))) === "directory") {
    const restored = await restoreGeneration(directory, path, generation);
    const others = restored.others.length === 0 ? "" : `; others: ${restored.others.join(", ")}`;
    source.described.push(
      `${name}: Litestream 0.3, generation ${restored.generation}, a snapshot and ${restored.transactions} transactions in ${restored.segments} WAL segments${others}`,
    );
  } else if (await isLtxTree(directory)) {
    const { files, txid } = await restoreLtxTree(directory, path);
    source.described.push(`${name}: Litestream 0.5, ${files} LTX files up to TXID ${txid}`);
  } else {
    throw unknown(directory);
  }
  source.databases.push({ name, path });
}

async function storageOf(directory: string, given: string | undefined): Promise<string | undefined> {
  if (given === undefined) {
    const beside = join(directory, "storage");
    return (await kindOf(beside)) === "directory" ? beside : undefined;
  }
  if ((await kindOf(given)) !== "directory") {
    throw new UserError("invalid_directory", `Cannot import the uploads in ${given}: it is no directory`);
  }
  return given.replace(/\/+$/, "");
}

async function kindOf(path: string): Promise<"file" | "directory" | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() === true) return "file";
  return found?.isDirectory() === true ? "directory" : undefined;
}

const unknown = (directory: string): UserError =>
  new UserError(
    "invalid_directory",
    `Cannot import ${directory}: there is no data.db in it, and it is no replica`,
    {
      hint: "Give a PocketBase data directory (pb_data), or a Litestream replica: the directory that holds `ltx`, levels like `0009`, or `generations`.",
    },
  );

/** Names of stored files below `directory`, as they stand in `storage/`. */
export async function* storedNames(directory: string): AsyncGenerator<string> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    // `.attrs` describe the file beside them and are made anew.
    if (!entry.isFile() || entry.name.endsWith(".attrs")) continue;
    yield join(entry.parentPath, entry.name).slice(directory.length + 1);
  }
}
