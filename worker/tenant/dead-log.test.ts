import { expect, test } from "bun:test";
import { deleteSealedLog } from "../../shared/log/delete-sealed.ts";
import { logPrefix } from "../../shared/objects/layout.ts";
import { listAll } from "../../shared/objects/read.ts";
import { TestWorld, notes, putNote } from "./test-world.ts";

test("deleteSealedLog leaves the SEAL, and every sealer still finds the same end", async () => {
  const world = await TestWorld.open();
  try {
    const dead = world.host();
    const id = world.create(dead);
    const tenant = await world.at(dead, id);
    for (let i = 0; i < 6; i++) await putNote(tenant, `${i}`);
    dead.abandon();
    const next = world.host();
    const end = await world.takeOver(dead, next);
    await world.at(next, id);
    for (let i = 0; i < 100 && world.known(id).tails.length > 0; i++) await Bun.sleep(5);
    expect(world.known(id).tails).toEqual([]);
    const { signal } = new AbortController();
    expect(await deleteSealedLog(world.store, dead.incarnation, end, signal)).toBe(6);
    expect(await deleteSealedLog(world.store, dead.incarnation, end, signal)).toBe(0);
    const left: string[] = [];
    for await (const { key } of listAll(world.store, { prefix: logPrefix(dead.incarnation) })) left.push(key);
    expect(left[0]).toContain(end.toString(16));
    expect(await world.takeOver(dead, next)).toBe(end);
    expect(notes(await world.at(next, id)).length).toBe(6);
  } finally {
    world.close();
  }
});
