import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../shared/errors.ts";
import { type Incarnation, parseIncarnation } from "../shared/ids.ts";

/** A worker's hold on its directory of local copies. */
export interface DirectoryClaim {
  /** The incarnation that ran here and did not leave cleanly. Its process is gone, because the claim succeeded. */
  previous(): Incarnation | undefined;
  /** Remembers the incarnation that runs here now. */
  note(incarnation: Incarnation): void;
  /** After a clean exit: there is nothing to take over. */
  left(): void;
}

/**
 * Makes the directory and takes it for this process. Two workers in one directory would delete each other's files.
 *
 * @throws UserError `invalid_directory` when it cannot be written, `conflict` when a live process holds it
 */
export function claimDirectory(directory: string): DirectoryClaim {
  const pidFile = join(directory, "worker.pid");
  const incarnationFile = join(directory, "incarnation");
  try {
    mkdirSync(directory, { recursive: true });
    const holder = Number(readText(pidFile));
    if (holder > 0 && holder !== process.pid && isAlive(holder)) {
      throw new UserError(
        "conflict",
        `Cannot use ${directory}: the worker with process id ${holder} runs there`,
        {
          hint: "Give every worker its own --worker-data.",
        },
      );
    }
    writeFileSync(pidFile, String(process.pid));
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError("invalid_directory", `Cannot write to ${directory}: ${(cause as Error).message}`);
  }
  return {
    previous() {
      const text = readText(incarnationFile);
      return text === "" ? undefined : parseIncarnation(text);
    },
    note: (incarnation) => writeFileSync(incarnationFile, String(incarnation)),
    left() {
      rmSync(incarnationFile, { force: true });
      rmSync(pidFile, { force: true });
    },
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return "";
  }
}

/** Signal 0 asks the kernel only; EPERM means that it lives under another user. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
