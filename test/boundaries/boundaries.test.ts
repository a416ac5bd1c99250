import { expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { type Import, importsOf, violation } from "./rules.ts";

const root = resolve(import.meta.dir, "../..");
const TOP_LEVEL =
  /^(?:package\.json|deno\.json|gateway|worker|control|shared|scripts|test|README\.md|tsconfig\.json|LICENSE|package-lock\.json|bun\.lock|deno\.lock|\..+)$/;

function tracked(): string[] {
  const { stdout } = Bun.spawnSync(["git", "ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
  });
  return stdout
    .toString()
    .split("\n")
    .filter((file) => file !== "");
}

test("every import follows the architecture", async () => {
  const files = tracked().filter((file) => file.endsWith(".ts"));
  const imports: Import[] = [];
  for (const file of files) {
    const source = Bun.file(join(root, file));
    if (await source.exists()) imports.push(...importsOf(file, await source.text()));
  }
  expect(imports.length).toBeGreaterThan(100);
  expect(
    imports.flatMap((found) => violation(found)?.concat(`: ${found.from} → ${found.target}`) ?? []),
  ).toEqual([]);
});

test("the top level holds what it may hold and no more", () => {
  expect(
    [...new Set(tracked().map((file) => file.split("/")[0] ?? ""))].filter((name) => !TOP_LEVEL.test(name)),
  ).toEqual([]);
});

test.each([
  ["shared/ids.ts", "worker/log.ts"],
  ["shared/ids.ts", "node:fs"],
  ["gateway/app.ts", "node:fs"],
  ["gateway/app.ts", "worker/log.ts"],
  ["worker/session.ts", "control/main.ts"],
  ["control/main.ts", "worker/objects/open.ts"],
  ["control/objects.ts", "worker/objects/s3/s3-store.ts"],
  ["control/domain/x.ts", "bun:sqlite"],
  ["worker/tenant/x.ts", "@aws-sdk/client-s3"],
  ["worker/features/a/x.ts", "worker/features/b/y.ts"],
  ["worker/model/x.ts", "worker/pb/route.ts"],
  ["worker/http/x.ts", "worker/http/index.ts"],
])("%s may not import %s", (from, target) => {
  expect(violation({ from, target })).toBeString();
});

test.each([
  ["shared/a.ts", "zod"],
  ["gateway/main.ts", "node:fs"],
  ["control/objects.ts", "worker/objects/open.ts"],
  ["worker/sqlite/open.ts", "bun:sqlite"],
  ["worker/features/a/x.ts", "worker/features/a/y.ts"],
  ["scripts/x.ts", "worker/objects/open.ts"],
])("%s may import %s", (from, target) => {
  expect(violation({ from, target })).toBeUndefined();
});

test("importsOf sees every form of import", () => {
  const source =
    'import a from "./a.ts";\nimport {\n  b,\n} from "../b.ts";\nexport * from "c";\nimport "d";\nconst e = await import("./e.ts");\n';
  expect(importsOf("worker/x/y.ts", source).map(({ target }) => target)).toEqual([
    "worker/x/a.ts",
    "worker/b.ts",
    "c",
    "d",
    "worker/x/e.ts",
  ]);
});
