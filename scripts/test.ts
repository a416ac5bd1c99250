import { join, resolve } from "node:path";
import { helpText, parseOptions } from "../shared/options.ts";
import { linesOf } from "./lines-of.ts";
import { ensureS3Server, stopS3Server } from "./s3-server.ts";

/** A step of `npm test`: a name and the words to run. */
interface Step {
  name: string;
  command: string[];
}

const OPTIONS = {
  only: { value: "<step>", help: "Run one step: format, lint, types, or a folder of tests." },
};

const root = resolve(import.meta.dir, "..");
const bin = (name: string): string => join(root, "node_modules", ".bin", name);
const CHECKS: readonly Step[] = [
  { name: "format", command: [bin("oxfmt"), "--check", "."] },
  { name: "lint", command: [bin("oxlint"), "--type-aware", "."] },
  { name: "types", command: [bin("tsc"), "--noEmit", "-p", "."] },
  { name: "types of shared (Web standards only)", command: [bin("tsc"), "--noEmit", "-p", "shared"] },
  { name: "types of gateway (Web standards only)", command: [bin("tsc"), "--noEmit", "-p", "gateway"] },
  { name: "types of gateway on Deno", command: [bin("deno"), "check", "--quiet", "gateway/main.ts"] },
];
/** Of one failed test. */
const FAILURE_LINES = 60;
/** Side by side: those of the second list wait for clocks and disks most of the time. */
const SUITES_BESIDE: readonly (readonly string[])[] = [
  ["shared", "worker", "gateway"],
  ["control", "scripts"],
];
/** By itself: it starts whole platforms and simulators, which take all that there is. */
const LAST_SUITE = "test";

const { values, help } = parseOptions(OPTIONS, process.argv.slice(2), process.env);
if (help) {
  process.stdout.write(
    helpText("npm test -- [options]", "Checks style, boundaries and types, and runs every suite.", OPTIONS),
  );
  process.exit(0);
}

// Says loudly when there is none; with CI=true that is an error.
await ensureS3Server();
const failed: string[] = [];
/** What failed tests said: shown again at the end, where one looks for it. */
const failures: string[] = [];
let passedTests = 0;
let failedTests = 0;
const startedMs = performance.now();
await runAll(CHECKS, true);
await Promise.all(SUITES_BESIDE.map((folders, lane) => runAll(folders.map(suite), lane === 0)));
await runAll([suite(LAST_SUITE)], true);
await stopS3Server();
const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
process.stdout.write(
  failed.length === 0
    ? `\nAll steps passed in ${seconds} s.\n`
    : `\nFailed after ${seconds} s: ${failed.join(", ")}\n`,
);
if (failures.length > 0) process.stdout.write(`${failures.join("\n")}\n`);
process.stdout.write(`${passedTests} passed, ${failedTests} failed\n`);
process.exit(failed.length === 0 && passedTests > 0 ? 0 : 1);

function suite(folder: string): Step {
  const options = ["--timeout", "120000", "--path-ignore-patterns", "test/large/**"];
  return { name: folder, command: [process.execPath, "test", ...options, `./${folder}/`] };
}

async function runAll(steps: readonly Step[], live: boolean): Promise<void> {
  for (const step of steps) {
    if (values.only === undefined || step.name.startsWith(values.only)) await run(step, live);
  }
}

/** @param live - prints as it goes; otherwise all at the end, since another step prints meanwhile */
async function run({ name, command }: Step, live: boolean): Promise<void> {
  const said = [`\n--- ${name}`];
  if (live) process.stdout.write(`${said[0]}\n`);
  const stepMs = performance.now();
  const child = Bun.spawn(command, {
    cwd: root,
    // Suites break things on purpose: what the parts say about that is not for the reader of the results.
    env: { MANYBASE_LOG_LEVEL: "silent", ...process.env },
    stdin: "ignore",
    stdout: "inherit",
    stderr: "pipe",
  });
  let since: string[] = [];
  for await (const line of linesOf(child.stderr)) {
    if (live) process.stderr.write(`${line}\n`);
    else said.push(line);
    since = [...since.slice(1 - FAILURE_LINES), line];
    if (line.startsWith("(fail)")) failures.push(...since);
    if (/^\((fail|pass)\)/.test(line)) since = [];
    passedTests += Number(/^ *(\d+) pass$/.exec(line)?.[1] ?? 0);
    failedTests += Number(/^ *(\d+) fail$/.exec(line)?.[1] ?? 0);
  }
  const status = await child.exited;
  if (status !== 0) failed.push(name);
  if (!live) process.stderr.write(`${said.join("\n")}\n`);
  process.stdout.write(
    `--- ${name}: ${status === 0 ? "ok" : `failed (${status})`} in ${((performance.now() - stepMs) / 1000).toFixed(1)} s\n`,
  );
}
