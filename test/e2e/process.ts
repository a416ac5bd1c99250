import { resolve } from "node:path";

export const ROOT = resolve(import.meta.dir, "../..");
export const bin = (name: string): string => resolve(ROOT, "node_modules/.bin", name);

/** A real process of the platform, with what it printed. */
export interface Running {
  readonly pid: number;
  readonly exited: Promise<number>;
  output(): string;
  errors(): string;
  /** The text after `prefix` in the first line that starts with it. */
  line(prefix: string, timeoutMs?: number): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  /** Kills it and what it started. */
  killAll(): void;
}

const running = new Set<Running>();

export function run(command: string[], environment: Record<string, string> = {}): Running {
  // Without the variables of whoever runs the tests.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("MANYBASE_"));
  const child = Bun.spawn(command, {
    cwd: ROOT,
    // A group of its own: `bun run x` and `deno run x` are wrappers, and the end of a test is the end of what they started too.
    detached: true,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: {
      ...Object.fromEntries(inherited),
      PATH: `${resolve(ROOT, "node_modules/.bin")}:${process.env["PATH"]}`,
      ...environment,
    },
  });
  let output = "";
  let errors = "";
  void collect(child.stdout, (text) => (output += text));
  void collect(child.stderr, (text) => (errors += text));
  const self: Running = {
    pid: child.pid,
    exited: child.exited,
    output: () => output,
    errors: () => errors,
    kill: (signal) => child.kill(signal),
    killAll() {
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // Nothing of the group is left.
      }
    },
    async line(prefix, timeoutMs = 30_000) {
      const untilMs = performance.now() + timeoutMs;
      for (;;) {
        const found = output.split("\n").find((line) => line.startsWith(prefix));
        if (found !== undefined) return found.slice(prefix.length);
        if (child.exitCode !== null || performance.now() > untilMs) {
          throw new Error(`No line ${JSON.stringify(prefix)} of ${command.join(" ")}:\n${output}\n${errors}`);
        }
        await Bun.sleep(10);
      }
    },
  };
  running.add(self);
  void child.exited.then(() => running.delete(self));
  return self;
}

/** For afterAll: nothing of a test may outlive it. */
export async function killAll(): Promise<void> {
  for (const process of running) process.killAll();
  await Promise.all([...running].map(({ exited }) => exited));
}

/** A command to its end. */
export async function finish(command: string[], environment: Record<string, string> = {}) {
  const process = run(command, environment);
  const status = await process.exited;
  await Bun.sleep(20);
  return { status, output: process.output(), errors: process.errors() };
}

async function collect(stream: ReadableStream<Uint8Array>, add: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) add(decoder.decode(chunk, { stream: true }));
}

/** Waits until `check` holds; its last error is the failure. */
export async function eventually<T>(check: () => Promise<T> | T, timeoutMs = 15_000): Promise<T> {
  const untilMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > untilMs) throw error;
      await Bun.sleep(25);
    }
  }
}
