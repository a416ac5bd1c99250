/** Child of litestream-vfs.ts: one action on one database through the stock VFS, settings in LITESTREAM_* variables. */
import { Database, constants } from "bun:sqlite";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

type Action = { kind: "hydrate" | "write"; sql: string };

const WAIT_MS_MAX = 20_000;
const litestream = createRequire(import.meta.url)("litestream-vfs") as { getLoadablePath(): string };

async function until(what: string, done: () => boolean): Promise<void> {
  for (const end = Date.now() + WAIT_MS_MAX; !done(); await Bun.sleep(10)) {
    if (Date.now() > end) throw new Error(`Cannot see ${what}: not within ${WAIT_MS_MAX} ms`);
  }
}

const action = JSON.parse(process.argv[2] ?? "") as Action;
const loader = new Database(":memory:");
loader.loadExtension(litestream.getLoadablePath().replace(/\.(so|dylib)$/, ""));
const db = new Database(
  "file:tenant.db?vfs=litestream",
  constants.SQLITE_OPEN_READWRITE | constants.SQLITE_OPEN_URI,
);
/** Prepared each time: the extension answers its pragmas when they are compiled. */
const pragma = (name: string): string => String(db.prepare(`PRAGMA ${name}`).values()[0]?.[0]);

if (action.kind === "hydrate") {
  for (const row of db.query(action.sql).all()) console.log(JSON.stringify(row));
  // Its progress pragma ends above 100 for a database that shrank, so the log must tell.
  const log = process.env["LITESTREAM_LOG_FILE"] ?? "";
  await until("the whole database", () => readFileSync(log, "utf8").includes("hydration complete"));
} else {
  const before = pragma("litestream_txid");
  db.run(action.sql);
  await until("the upload", () => pragma("litestream_txid") !== before);
}
db.close();
// Nothing may outlive this: the extension's own threads would.
process.exit(0);
