import { existsSync } from "node:fs";

/** Where Debian, Ubuntu and others have it. */
const PROGRAMS = ["chromium", "chromium-browser", "google-chrome"];
const INSTALL_MS = 10 * 60_000;

/**
 * A Chromium for tests: the installed one, `MANYBASE_TEST_CHROMIUM`, or undefined with the reason printed loudly.
 * @throws Error without one when `CI` is `true`
 */
export function ensureChromium(): string | undefined {
  const found = findChromium();
  if (found !== undefined) return found;
  const why =
    "there is no Chromium; run: bun scripts/chromium.ts (root on Debian), or set MANYBASE_TEST_CHROMIUM";
  if (process.env["CI"] === "true") throw new Error(`Cannot test in a browser: ${why}`);
  console.warn(`\n!!! BROWSER TESTS SKIPPED: ${why}\n`);
  return undefined;
}

function findChromium(): string | undefined {
  const given = process.env["MANYBASE_TEST_CHROMIUM"];
  if (given !== undefined && given !== "") {
    if (!existsSync(given)) throw new Error(`Cannot test in a browser: ${given} is not there`);
    return given;
  }
  for (const name of PROGRAMS) {
    const path = Bun.which(name);
    if (path !== null) return path;
  }
  return undefined;
}

/** The distribution's own package. */
async function install(): Promise<void> {
  if (process.getuid?.() !== 0 || Bun.which("apt-get") === null) {
    throw new Error("Cannot install Chromium: it needs root on Debian or Ubuntu");
  }
  for (const parameters of [["update"], ["install", "--yes", "--no-install-recommends", "chromium"]]) {
    const child = Bun.spawn(["apt-get", "-qq", ...parameters], {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      timeout: INSTALL_MS,
    });
    if ((await child.exited) !== 0)
      throw new Error(`Cannot install Chromium: apt-get ${parameters[0]} failed`);
  }
}

if (import.meta.main) {
  if (findChromium() === undefined) await install();
  console.log(findChromium() ?? "Cannot install Chromium: the package brought none");
}
