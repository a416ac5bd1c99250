import { expect, test } from "bun:test";
import { Lanes } from "./lanes.ts";

test("Lanes lets owners take turns: who comes with little does not wait for all that another has", async () => {
  const lanes = new Lanes(1);
  const started: string[] = [];
  const run = (name: string, owner: object): Promise<void> =>
    lanes.run(() => Promise.resolve(void started.push(name)), owner);
  const [storm, neighbour] = [{}, {}];
  await Promise.all([
    ...["s1", "s2", "s3", "s4"].map((name) => run(name, storm)),
    ...["n1", "n2"].map((name) => run(name, neighbour)),
  ]);
  expect(started).toEqual(["s1", "s2", "n1", "s3", "n2", "s4"]);
});

test("Lanes runs so many at a time, in order, and goes on after a failure", async () => {
  const lanes = new Lanes(2);
  const started: number[] = [];
  const gates = Array.from({ length: 4 }, () => Promise.withResolvers<number>());
  const runs = gates.map(({ promise }, i) =>
    lanes.run(() => {
      started.push(i);
      return promise;
    }),
  );
  await Promise.resolve();
  expect(started).toEqual([0, 1]);
  gates[1]?.reject(new Error("broken"));
  await expect(runs[1]).rejects.toThrow("broken");
  expect(started).toEqual([0, 1, 2]);
  for (const { resolve } of gates) resolve(1);
  expect(await Promise.all([runs[0], runs[2], runs[3]])).toEqual([1, 1, 1]);
  expect(started).toEqual([0, 1, 2, 3]);
  expect(await lanes.run(() => Promise.resolve("free"))).toBe("free");
});
