/** Writes until it is killed and prints each acknowledged key; the parent checks that all of them survive. */
import { openRaftStore } from "./open.ts";

const [directory, life] = process.argv.slice(2);
if (directory === undefined || life === undefined) throw new Error("usage: kill-child <directory> <life>");
const store = await openRaftStore({ directory, snapshotEvery: 50 });
let next = 0;
async function writer(): Promise<void> {
  for (;;) {
    const key = `k/${life}-${next++}`;
    const result = await store.txn({
      id: key,
      cmp: [],
      then: [{ kind: "put", key, value: "x".repeat(200) }],
    });
    process.stdout.write(`${key} ${result.rev}\n`);
  }
}
await Promise.all(Array.from({ length: 8 }, writer));
