import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { SystemError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

/** One process of the all-in-one, kept running. */
export interface Part {
  /** Where it serves; the same after every restart. */
  readonly url: string;
  /** SIGTERM, then SIGKILL after limits.stopMsMax. Never started again. */
  stop(): Promise<void>;
}

/**
 * Starts a process that prints `<name> ready on <url>` and starts it again whenever it dies: at once, then with growing delay.
 * It has a session of its own, so that Ctrl-C reaches only us and the parts are stopped in order; its standard input is a pipe
 * from us, so that it also ends when we are killed.
 *
 * @param command the words to run; `address` is host:port of the first start, so that a restart keeps it
 * @throws SystemError `internal` when the first start fails; what it printed is shown
 */
export async function startPart(
  name: string,
  directory: string,
  command: (address: string | undefined) => string[],
): Promise<Part> {
  let address: string | undefined;
  let stopping = false;
  let delayMs: number = limits.restartDelayMsMin;

  const launch = (): { child: ChildProcess; ready: Promise<string>; ended: Promise<number | string> } => {
    const [program = "", ...args] = command(address);
    const child = spawn(program, args, {
      cwd: directory,
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
      // A person reads this terminal: warnings, unless asked for more.
      env: { MANYBASE_LOG_LEVEL: "warn", ...process.env, MANYBASE_SUPERVISED: "1" },
    });
    const ended = new Promise<number | string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(signal ?? code ?? 0));
    });
    const ready = new Promise<string>((resolve) => {
      const prefix = `${name} ready on `;
      createInterface({ input: child.stdout ?? process.stdin }).on("line", (line) => {
        if (line.startsWith(prefix)) resolve(line.slice(prefix.length));
      });
    });
    return { child, ready, ended };
  };

  let current = launch();
  const url = await Promise.race([
    current.ready,
    current.ended.then((how) => {
      throw new SystemError(
        "internal",
        `Cannot start the ${name}: it ended with ${how} (its own message is above)`,
      );
    }),
    timeout(
      limits.startMsMax,
      `Cannot start the ${name}: it was not ready within ${limits.startMsMax / 1000} s`,
    ),
  ]).catch((error: unknown) => {
    stopping = true;
    current.child.kill("SIGKILL");
    throw error;
  });
  address = new URL(url).host;
  if (new URL(url).port === "") address += ":80";
  void keep();

  async function keep(): Promise<void> {
    while (!stopping) {
      const startedMs = performance.now();
      const how = await current.ended;
      if (stopping) return;
      if (performance.now() - startedMs > limits.restartDelayMsMax) delayMs = limits.restartDelayMsMin;
      process.stderr.write(`The ${name} ended with ${how}; starting it again in ${delayMs} ms.\n`);
      await Bun.sleep(delayMs);
      delayMs = Math.min(delayMs * 2, limits.restartDelayMsMax);
      if (!stopping) current = launch();
    }
  }

  return {
    url,
    async stop() {
      stopping = true;
      current.child.kill("SIGTERM");
      const kill = setTimeout(() => current.child.kill("SIGKILL"), limits.stopMsMax);
      await current.ended;
      clearTimeout(kill);
    },
  };
}

function timeout(ms: number, message: string): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new SystemError("internal", message)), ms).unref();
  });
}
