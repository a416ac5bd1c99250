import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getBytes, listAll } from "../../../shared/objects/read.ts";
import { openFileStore } from "./file-store.ts";
import { readNumberedBody } from "./writer.fixture.ts";

const home = await mkdtemp(join(tmpdir(), "manybase-processes-"));
afterAll(() => rm(home, { recursive: true }));

const spawn = (...parameters: string[]) =>
  Bun.spawn([process.execPath, join(import.meta.dir, "writer.fixture.ts"), ...parameters], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });

test("putIfAbsent has one winner per key among processes", async () => {
  const directory = join(home, "race");
  const racers = 4;
  const keys = 300;
  const children = Array.from({ length: racers }, (_, me) =>
    spawn("race", directory, String(me), String(keys)),
  );
  const winners = new Map<string, number>();
  const outputs = children.map((child) => child.stdout.getReader());
  await Promise.all(outputs.map((output) => output.read()));
  const startMs = String(Date.now() + 100);
  await Promise.all(children.map((child) => child.stdin.write(startMs)));
  await Promise.all(children.map((child) => child.stdin.end()));
  for (const [me, child] of children.entries()) {
    const claims = (await restOf(outputs[me])).split("\n").filter((line) => line !== "");
    for (const claim of claims) {
      const [outcome, key = ""] = claim.split(" ");
      expect(outcome).toBe("created");
      expect(winners.has(key)).toBe(false);
      winners.set(key, me);
    }
    expect(await child.exited).toBe(0);
  }
  expect(winners.size).toBe(keys);
  expect(new Set(winners.values()).size).toBeGreaterThan(1);
  const store = await openFileStore(directory);
  for (const [key, winner] of winners) {
    const body = await getBytes(store, `race/${key}`);
    expect(body && readNumberedBody(body)).toBe(winner);
  }
  await store.close();
}, 30_000);

test("a writer killed at any moment leaves whole objects, and every acknowledged one", async () => {
  const directory = join(home, "kill");
  const store = await openFileStore(directory);
  const acknowledged = new Set<number>();
  for (let round = 0; round < 12; round++) {
    const child = spawn("write", directory, String(round * 100_000));
    let printed = "";
    for await (const chunk of child.stdout) {
      if (printed === "") setTimeout(() => child.kill("SIGKILL"), 1 + round * 4);
      printed += new TextDecoder().decode(chunk);
    }
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
    // A last line without its end may be a cut number.
    for (const line of printed.split("\n").slice(0, -1)) {
      const [outcome, number] = line.split(" ");
      expect(outcome).toBe("created");
      acknowledged.add(Number(number));
    }
    const replaced = await getBytes(store, "replaced");
    if (replaced !== undefined) readNumberedBody(replaced);
  }
  expect(acknowledged.size).toBeGreaterThan(12);
  for await (const { key, size } of listAll(store, { prefix: "log/" })) {
    const body = (await getBytes(store, key)) ?? new Uint8Array();
    expect(body.length).toBe(size);
    expect(`log/${readNumberedBody(body)}`).toBe(key);
    acknowledged.delete(Number(key.slice(4)));
  }
  expect([...acknowledged]).toEqual([]);
  await store.close();
}, 30_000);

async function restOf(output: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const part = await output?.read();
    if (part?.value === undefined) return text;
    text += decoder.decode(part.value, { stream: true });
  }
}
