/** A short form of `npm run test:chaos -- --only bad-input`. */
import { afterAll, expect, test } from "bun:test";
import { badInput } from "../chaos/bad-input.ts";
import { killAll } from "../e2e/process.ts";
import { PROCESSES, removeData } from "./platform.ts";

afterAll(async () => {
  await killAll();
  removeData();
});

test.each(PROCESSES)(
  "bad requests to the gateway on %s have a clear end, and it lives",
  async (runtime) => {
    const options = { runtime, perRound: 1_400, rounds: 1, connections: 32 };
    const { outcomes, violations } = await badInput(options, () => undefined);
    // How much memory so few requests leave behind says nothing: the long form looks at that.
    expect(violations.filter((text) => !/^round|memory/.test(text))).toEqual([]);
    expect(Object.keys(outcomes).length).toBeGreaterThan(10);
  },
  60_000,
);
