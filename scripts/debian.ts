import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A program of a Debian package: the installed one, or one unpacked into a folder of its own, so that nothing is installed, no service is
 * started and no root is needed.
 *
 * @param path where the package has it, e.g. `usr/sbin/nginx`
 * @returns its path, or undefined with the reason printed
 */
export async function debianProgram(
  name: string,
  packageName: string,
  path: string,
): Promise<string | undefined> {
  const installed = Bun.which(name);
  if (installed !== null) return installed;
  const folder = join(tmpdir(), "manybase-debian", packageName);
  const program = join(folder, path);
  if (existsSync(program)) return program;
  if (Bun.which("apt-get") === null || Bun.which("dpkg") === null) {
    process.stdout.write(`Cannot get ${name}: this is no Debian; install it to be measured against it.\n`);
    return undefined;
  }
  mkdirSync(folder, { recursive: true });
  if (!(await run(folder, "apt-get", "-qq", "download", packageName))) {
    await run(folder, "apt-get", "-qq", "update");
    if (!(await run(folder, "apt-get", "-qq", "download", packageName))) return undefined;
  }
  const archive = readdirSync(folder).find((file) => file.endsWith(".deb"));
  if (archive === undefined || !(await run(folder, "dpkg", "-x", archive, "."))) return undefined;
  return existsSync(program) ? program : undefined;
}

async function run(cwd: string, ...command: string[]): Promise<boolean> {
  const child = Bun.spawn(command, { cwd, stdin: "ignore", stdout: "ignore", stderr: "inherit" });
  return (await child.exited) === 0;
}
