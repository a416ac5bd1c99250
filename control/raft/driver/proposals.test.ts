import { expect, test } from "bun:test";
import { Proposals } from "./proposals.ts";

const entry = (index: number, term: number) =>
  ({ index, term, kind: "data", data: new Uint8Array() }) as const;
const OK = { ok: true, rev: 7 } as const;
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => value,
    (error: unknown) => (error as { code: string }).code,
  );

test("only the entry of its own term answers a proposal: another one at its index means that it never happened", async () => {
  const proposals = new Proposals();
  const own = codeOf(proposals.add({ index: 5, term: 2 }, 1_000, undefined));
  const replaced = codeOf(proposals.add({ index: 6, term: 2 }, 1_000, undefined));
  const noop = codeOf(proposals.add({ index: 7, term: 2 }, 1_000, undefined));
  proposals.applied(entry(5, 2), OK);
  proposals.applied(entry(6, 3), { ok: true, rev: 8 });
  proposals.applied({ index: 7, term: 3, kind: "noop" }, undefined);
  expect(await Promise.all([own, replaced, noop])).toEqual([OK, "control_no_leader", "control_no_leader"]);
  expect(proposals.size).toBe(0);
});

test("what a snapshot passed over or nobody confirmed in time is of unknown fate; the rest waits on", async () => {
  const proposals = new Proposals();
  const skipped = codeOf(proposals.add({ index: 5, term: 2 }, 1_000, undefined));
  const late = codeOf(proposals.add({ index: 8, term: 2 }, 1_000, undefined));
  const waiting = codeOf(proposals.add({ index: 9, term: 2 }, 1_001, undefined));
  proposals.skippedTo(5);
  proposals.expire(1_000);
  expect(proposals.size).toBe(1);
  expect(await Promise.all([skipped, late])).toEqual(["control_state_unknown", "control_state_unknown"]);
  proposals.applied(entry(9, 2), OK);
  expect(await waiting).toEqual(OK);
});

test("the place of an older term's proposal is taken: that one never happened", async () => {
  const proposals = new Proposals();
  const older = codeOf(proposals.add({ index: 5, term: 2 }, 1_000, undefined));
  const newer = codeOf(proposals.add({ index: 5, term: 3 }, 1_000, undefined));
  expect(await older).toBe("control_no_leader");
  proposals.applied(entry(5, 3), OK);
  expect(await newer).toEqual(OK);
});
