import type { ObjectBody, PutOptions, PutOutcome } from "../../../shared/objects/contract.ts";
import { limits } from "../../../shared/limits.ts";
import type { Deadline } from "../deadline.ts";
import type { Directories } from "./directories.ts";
import { type Disk, errorCode } from "./disk.ts";
import { type ObjectPath, objectPath } from "./names.ts";
import type { Staging } from "./staging.ts";

export interface Writing {
  disk: Disk;
  base: string;
  staging: Staging;
  directories: Directories;
}

/** After these a link has certainly not been made; after any other failure it may have been. */
const REFUSED = new Set([
  "EACCES",
  "EDQUOT",
  "EMLINK",
  "ENAMETOOLONG",
  "ENOENT",
  "ENOSPC",
  "EPERM",
  "EROFS",
  "EXDEV",
]);

/** `link` is the exclusive step: it fails when the name exists, for every process that shares the file system. */
export async function publishIfAbsent(
  writing: Writing,
  key: string,
  body: ObjectBody,
  options: PutOptions,
  deadline: Deadline,
): Promise<PutOutcome> {
  const { disk, staging, directories } = writing;
  const target = objectPath(writing.base, key);
  const staged = await staging.write(key, body, options.storageClass, deadline);
  let outcome: PutOutcome;
  try {
    deadline.signal.throwIfAborted();
    outcome = await link(writing, staged, target);
  } catch (error) {
    await staging.discard(staged);
    throw error;
  }
  // Also when it exists: its writer may not have come this far, and the caller builds on the answer.
  const synced = directories.sync(target.directory).then(
    () => outcome,
    () => "unknown" as const,
  );
  const [answer] = await Promise.all([synced, disk.unlink(staged).catch(() => undefined)]);
  return answer;
}

/** `rename` replaces: readers see the old object or the new one, each whole. */
export async function publishOver(
  writing: Writing,
  key: string,
  stage: () => Promise<string>,
  deadline: Deadline,
): Promise<void> {
  const target = objectPath(writing.base, key);
  const staged = await stage();
  try {
    deadline.signal.throwIfAborted();
    await inDirectory(writing, target, () => writing.disk.rename(staged, target.path));
  } catch (error) {
    await writing.staging.discard(staged);
    throw error;
  }
  await writing.directories.sync(target.directory);
}

async function link(writing: Writing, staged: string, target: ObjectPath): Promise<PutOutcome> {
  try {
    await inDirectory(writing, target, () => writing.disk.link(staged, target.path));
    return "created";
  } catch (error) {
    const code = errorCode(error) ?? "";
    if (code === "EEXIST") return "exists";
    if (REFUSED.has(code)) throw error;
    return "unknown";
  }
}

/** A directory may be absent, or be pruned by a delete between its making and its use. */
async function inDirectory(
  writing: Writing,
  target: ObjectPath,
  publish: () => Promise<void>,
): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await publish();
      return;
    } catch (error) {
      if (errorCode(error) !== "ENOENT" || tries === limits.storeRaceRetriesMax) throw error;
      await writing.directories.make(target.directory);
    }
  }
}
