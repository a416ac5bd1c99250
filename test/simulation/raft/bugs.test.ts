/** The simulator is worth what it finds: each seeded bug within 1,000 seeds. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { BUGS } from "./bugs.ts";

test("there are at least twelve bugs", () => expect(BUGS.length).toBeGreaterThanOrEqual(12));

for (const [number, bug] of BUGS.entries()) {
  test(`the simulator finds: ${bug.name}`, async () => {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "with-bug.ts"), String(number)], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [text, errors] = [await new Response(child.stdout).text(), await new Response(child.stderr).text()];
    expect([await child.exited, errors]).toEqual([0, ""]);
    expect(text).toMatch(/^seed [0-9]+: /);
  }, 60_000);
}
