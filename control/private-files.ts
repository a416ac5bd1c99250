import { chmodSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { UserError } from "../shared/errors.ts";

/** Makes the directory if need be. @throws UserError `invalid_directory` when it cannot be made or written to */
export function requireDirectory(path: string, what: string): void {
  try {
    mkdirSync(path, { recursive: true });
    const probe = `${path}/.writable-${process.pid}`;
    writeFileSync(probe, "");
    unlinkSync(probe);
  } catch (cause) {
    throw new UserError("invalid_directory", `Cannot use ${what} ${path}: ${reason(cause)}`, {
      cause,
      hint: "Choose a directory that this user may write to.",
    });
  }
}

/** The file's text, trimmed; when there is none it is made with `fresh()`, readable by its owner only. */
export function readOrCreatePrivate(path: string, fresh: () => string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    if (code(error) !== "ENOENT") throw unusable(path, error);
  }
  const text = fresh();
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, `${text}\n`, { mode: 0o600, flag: "wx" });
    // The umask may only have taken more away; a file system without modes ignores both.
    chmodSync(path, 0o600);
    return text;
  } catch (error) {
    // Another process made it between the two: its text counts.
    if (code(error) === "EEXIST") return readFileSync(path, "utf8").trim();
    throw unusable(path, error);
  }
}

function unusable(path: string, cause: unknown): UserError {
  return new UserError("invalid_directory", `Cannot use ${path}: ${reason(cause)}`, { cause });
}

function code(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function reason(error: unknown): string {
  switch (code(error)) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return "it is not writable";
    case "ENOTDIR":
    case "EEXIST":
      return "a part of the path is not a directory";
    case "ENOSPC":
      return "the disk is full";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
