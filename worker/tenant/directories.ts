import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../shared/errors.ts";
import { type Incarnation, type TenantId, hex16 } from "../../shared/ids.ts";

const OWNER = "owner.pid";
/** Directories of hosts in this process: they live, though they carry our own process id. */
const inUse = new Set<string>();

/**
 * `<root>/<incarnation>/` for one incarnation's tenants, emptied. Those of incarnations whose process is gone are removed: local
 * files are a cache of object storage, and what they hold beyond it was never acknowledged.
 *
 * @throws UserError `invalid_directory`
 */
export function claimDirectory(root: string, incarnation: Incarnation): string {
  const own = join(root, hex16(incarnation));
  try {
    mkdirSync(root, { recursive: true });
    for (const name of readdirSync(root)) {
      const path = join(root, name);
      if (/^[0-9a-f]{16}$/.test(name) && !inUse.has(path) && (path === own || !ownerLives(path))) {
        rmSync(path, { recursive: true, force: true });
      }
    }
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, OWNER), `${process.pid}\n`);
  } catch (cause) {
    throw new UserError(
      "invalid_directory",
      `Cannot use ${root} for tenants' files: ${(cause as Error).message}`,
      {
        cause,
        hint: "Name a directory that this process may write to.",
      },
    );
  }
  inUse.add(own);
  return own;
}

export function leaveDirectory(own: string): void {
  inUse.delete(own);
  rmSync(own, { recursive: true, force: true });
}

export const tenantDirectory = (own: string, tenant: TenantId): string => join(own, tenant);

function ownerLives(path: string): boolean {
  let pid: number;
  try {
    pid = Number(readFileSync(join(path, OWNER), "utf8").trim());
  } catch {
    return false;
  }
  // A directory of our own process that is not in use belongs to an incarnation that we gave up.
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
