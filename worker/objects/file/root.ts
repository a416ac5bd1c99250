import { dirname, join, resolve } from "node:path";
import { SystemError, UserError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import { type Disk, diskError, errorCode, unless } from "./disk.ts";

const FORMAT = "manybase object store 1\n";

export interface Root {
  path: string;
  /** Holds nothing but what keys map to. */
  objects: string;
  /** In the same file system, so that its files can be linked and renamed to objects. */
  temporary: string;
}

/**
 * Opens the directory of a store, making a new one if there is none.
 * @throws UserError `invalid_directory`, SystemError `object_version`, `store_misbehaves` (no hard links)
 */
export async function openRoot(disk: Disk, location: string, nonce: string): Promise<Root> {
  const path = resolve(location);
  const root: Root = { path, objects: join(path, "objects"), temporary: join(path, "temporary") };
  try {
    await makeDurable(disk, root.temporary);
    await makeDurable(disk, root.objects);
    await claimFormat(disk, root, nonce);
  } catch (error) {
    throw openError(path, error);
  }
  await sweep(disk, root.temporary);
  return root;
}

/** Tells a store that lost its directory (an unmounted disk) from one that lacks an object. */
export async function checkRoot(disk: Disk, root: Root): Promise<void> {
  if ((await unless(["ENOENT", "ENOTDIR"], disk.stat(formatPath(root)))) !== undefined) return;
  throw new SystemError(
    "store_missing",
    `Cannot use the object store in ${root.path}: its directory is gone`,
    {
      hint: "Is the disk mounted? An empty store is made only at start.",
    },
  );
}

const formatPath = (root: Root): string => join(root.path, "format");

/** Also shows that the file system can write, sync and link. */
async function claimFormat(disk: Disk, root: Root, nonce: string): Promise<void> {
  const draft = join(root.temporary, `${nonce}-format`);
  const handle = await disk.open(draft, "wx");
  try {
    await handle.write(FORMAT);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await unless(["EEXIST"], disk.link(draft, formatPath(root)));
  await disk.unlink(draft);
  await syncDirectory(disk, root.path);
  const found = await disk.open(formatPath(root), "r");
  try {
    const text = await found.readFile("utf8");
    if (text !== FORMAT) {
      throw new SystemError(
        "object_version",
        `Cannot use directory ${root.path}: its format is another one`,
        {
          hint: "It was written by another version, or is not an object store.",
          details: { format: text.slice(0, 80) },
        },
      );
    }
  } finally {
    await found.close();
  }
}

async function makeDurable(disk: Disk, path: string): Promise<void> {
  try {
    await disk.mkdir(path);
  } catch (error) {
    if (errorCode(error) === "EEXIST" && (await disk.stat(path)).isDirectory()) return;
    if (errorCode(error) !== "ENOENT" || path === dirname(path)) throw error;
    await makeDurable(disk, dirname(path));
    await unless(["EEXIST"], disk.mkdir(path));
  }
  await syncDirectory(disk, dirname(path));
}

async function syncDirectory(disk: Disk, path: string): Promise<void> {
  const handle = await disk.open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Other processes share the directory, so only files are taken that no living writer can still be filling. */
async function sweep(disk: Disk, temporary: string): Promise<void> {
  const oldest = Date.now() - limits.storeTempAgeMs;
  const names = await disk.readdir(temporary);
  for (let at = 0; at < names.length; at += limits.storeParallelFileCalls) {
    const batch = names.slice(at, at + limits.storeParallelFileCalls).map(async (name) => {
      const path = join(temporary, name);
      const stat = await unless(["ENOENT"], disk.stat(path));
      if (stat !== undefined && stat.mtimeMs < oldest) await unless(["ENOENT"], disk.unlink(path));
    });
    await Promise.all(batch);
  }
}

function openError(path: string, error: unknown): unknown {
  const code = errorCode(error);
  if (code === undefined || error instanceof SystemError) return error;
  if (code === "ENOSPC" || code === "EDQUOT") return diskError(`open the object store in ${path}`, error);
  if (code === "ENOTSUP" || code === "EOPNOTSUPP" || code === "ENOSYS" || code === "EMLINK") {
    return new SystemError(
      "store_misbehaves",
      `Cannot use directory ${path}: its file system has no hard links`,
      {
        cause: error,
        hint: "Use a file system with hard links, such as ext4, xfs, btrfs, zfs, apfs or NFS.",
      },
    );
  }
  const state =
    code === "EEXIST" || code === "ENOTDIR" ? "a file stands in its way" : `it cannot be written (${code})`;
  return new UserError("invalid_directory", `Cannot use directory ${path} as object store: ${state}`, {
    cause: error,
    hint: "Name a directory that the user of this process may create and write.",
  });
}
