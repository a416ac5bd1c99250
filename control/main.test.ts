import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// Each start is a process of its own, which takes seconds on a machine that does other things.
setDefaultTimeout(60_000);

const root = join(import.meta.dir, "..");
const directories: string[] = [];
const processes: Bun.Subprocess[] = [];

afterEach(async () => {
  for (const child of processes.splice(0)) child.kill("SIGKILL");
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), "manybase-main-"));
  directories.push(made);
  return made;
}

function start(args: string[], environment: Record<string, string> = {}) {
  const child = Bun.spawn([process.execPath, "control/main.ts", ...args], {
    cwd: root,
    env: { PATH: process.env["PATH"] ?? "", MANYBASE_LOG_LEVEL: "silent", ...environment },
    stdout: "pipe",
    stderr: "pipe",
  });
  processes.push(child);
  return child;
}

/** Standard output until the line that says it serves. */
async function ready(child: ReturnType<typeof start>): Promise<{ url: string; text: string }> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk);
    const url = /^control ready on (\S+)$/m.exec(text)?.[1];
    if (url !== undefined) return { url, text };
  }
  throw new Error(`never ready: ${text}${await new Response(child.stderr).text()}`);
}

async function failed(args: string[], environment?: Record<string, string>): Promise<string> {
  const child = start(args, environment);
  const [code, text] = [await child.exited, await new Response(child.stderr).text()];
  expect(code).toBe(1);
  expect(text.trimEnd().split("\n")).toHaveLength(1);
  return text;
}

async function stop(child: ReturnType<typeof start>): Promise<void> {
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
}

const health = (url: string, token: string): Promise<Response> =>
  fetch(`${url}/api/cp/health`, { headers: { authorization: `Bearer ${token}` } });

describe("control as a process", () => {
  test("makes keys and a first token, serves, stops on SIGTERM, and shows the token never again", async () => {
    const data = directory();
    const first = start(["--data", data, "--listen", "127.0.0.1:0"]);
    const { url, text } = await ready(first);
    const [token = ""] = /mbo_[A-Za-z0-9]{40}/.exec(text) ?? [];
    expect((await health(url, token)).status).toBe(200);
    for (const name of ["member", "gateway"]) {
      expect(statSync(join(data, "keys", `${name}.key`)).mode & 0o777).toBe(0o600);
    }
    await stop(first);
    const second = start(["--data", data, "--listen", "127.0.0.1:0"]);
    const again = await ready(second);
    expect(again.text).not.toContain("mbo_");
    expect((await health(again.url, token)).status).toBe(200);
    await stop(second);
  });

  test("a token file is made when missing and stays valid when the state is gone", async () => {
    const data = directory();
    const file = join(data, "operator.token");
    const args = ["--data", data, "--listen", "127.0.0.1:0", "--operator-token-file", file];
    const first = start(args);
    const { text } = await ready(first);
    const token = readFileSync(file, "utf8").trim();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(text).not.toContain(token);
    await stop(first);
    rmSync(join(data, "control"), { recursive: true });
    rmSync(join(data, "store"), { recursive: true });
    const second = start(args);
    expect((await health((await ready(second)).url, token)).status).toBe(200);
    await stop(second);
  });

  test("a token from the environment is made valid", async () => {
    const token = `mbo_${"e".repeat(40)}`;
    const child = start(["--data", directory(), "--listen", "0"], { MANYBASE_OPERATOR_TOKEN: token });
    const { url, text } = await ready(child);
    expect(text).not.toContain("mbo_");
    expect((await health(url, token)).status).toBe(200);
    await stop(child);
  });

  test("--help names every option and variable", async () => {
    const child = start(["--help"]);
    const text = await new Response(child.stdout).text();
    expect(await child.exited).toBe(0);
    for (const name of ["LISTEN", "DATA", "STORE", "DOMAIN", "MEMBER_KEY", "GATEWAY_KEY", "OPERATOR_TOKEN"]) {
      expect(text).toContain(name);
    }
  });

  test("one clear line and status 1 for what cannot work", async () => {
    const data = directory();
    const file = join(data, "file");
    writeFileSync(file, "");
    expect(await failed(["--data", join(file, "below")])).toContain("not a directory");
    expect(await failed(["--data", data, "--listen", "nowhere"])).toContain("--listen");
    expect(await failed(["--data", data, "--lisen", "1"])).toContain("--lisen");
    expect(await failed(["--data", data, "--evict-after", "soon"])).toContain("--evict-after");
    expect(await failed(["--data", data, "--scale-webhook", "ftp://x"])).toContain("--scale-webhook");
    expect(await failed(["--data", data, "--store", "ftp://x"])).toContain("ftp://x");
    expect(await failed(["--data", data, "--listen", "0"], { MANYBASE_MEMBER_KEY: "short" })).toContain(
      "MANYBASE_MEMBER_KEY",
    );
    const busy = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
    const text = await failed(["--data", data, "--listen", `127.0.0.1:${busy.port}`]);
    expect(text).toContain("the address is in use");
    await busy.stop(true);
  });

  test("a second process on the same directory", async () => {
    const data = directory();
    const first = start(["--data", data, "--listen", "127.0.0.1:0"]);
    await ready(first);
    expect(await failed(["--data", data, "--listen", "127.0.0.1:0"])).toContain(join(data, "control"));
    await stop(first);
  });

  test("a state put back from a copy: says so and ends", async () => {
    const data = directory();
    const args = ["--data", data, "--listen", "127.0.0.1:0"];
    const first = start(args);
    await ready(first);
    await stop(first);
    rmSync(join(data, "control"), { recursive: true });
    expect(await failed(args)).toContain("manybase control restore");
  });
});
