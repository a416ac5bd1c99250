/** A process of its own for the tests that need one: writes until it is done or killed, and prints what was acknowledged. */
import { limits } from "../../../shared/limits.ts";
import { openFileStore } from "./file-store.ts";

/** A body that tells which number it belongs to and whether it is whole: the number, filling, its digest. */
export function numberedBody(number: number, length: number): Uint8Array {
  const body = new Uint8Array(length).fill(number);
  new DataView(body.buffer).setUint32(0, number);
  body.set(digest(body.subarray(0, length - 32)), length - 32);
  return body;
}

/** The number of a whole body; throws when it is torn. */
export function readNumberedBody(body: Uint8Array): number {
  const found = digest(body.subarray(0, -32)).toHex();
  if (found !== body.slice(-32).toHex())
    throw new Error(`Cannot read this body of ${body.length} bytes: torn`);
  return new DataView(body.buffer, body.byteOffset).getUint32(0);
}

const digest = (bytes: Uint8Array): Uint8Array => new Bun.CryptoHasher("sha256").update(bytes).digest();

/** Few at a time, so that no process is through before the next has begun. */
const RACE_LANES = 5;

/** Starts at the time (Unix ms) that comes on stdin, as its competitors do. */
async function race(directory: string, me: number, keys: number): Promise<void> {
  const store = await openFileStore(directory);
  console.log("ready");
  const { value: go } = await Bun.stdin.stream().getReader().read();
  await Bun.sleep(Number(new TextDecoder().decode(go)) - Date.now());
  const lanes = Array.from({ length: RACE_LANES }, async (_, lane) => {
    for (let key = lane; key < keys; key += RACE_LANES) {
      const outcome = await store.putIfAbsent(`race/${key}`, numberedBody(me, 100));
      if (outcome !== "exists") console.log(`${outcome} ${key}`);
    }
  });
  await Promise.all(lanes);
}

async function write(directory: string, first: number): Promise<void> {
  const store = await openFileStore(directory);
  for (let number = first; ; number += 4) {
    const writes = [0, 1, 2, 3].map(async (lane) => {
      const mine = number + lane;
      const length = lane === 3 ? 2 * limits.storeReadChunkBytes : 20_000 + mine;
      const outcome = await store.putIfAbsent(`log/${mine}`, numberedBody(mine, length));
      await store.put("replaced", numberedBody(mine, length));
      console.log(`${outcome} ${mine}`);
    });
    await Promise.all(writes);
  }
}

if (import.meta.main) {
  const [mode, directory = "", first = "0", second = "0"] = process.argv.slice(2);
  if (mode === "race") await race(directory, Number(first), Number(second));
  else await write(directory, Number(first));
}
