/** A short form of `npm run test:chaos -- --only edge`: one death each of a worker, a replica of control and another gateway. */
import { afterAll, expect, test } from "bun:test";
import { killAll } from "../e2e/process.ts";
import { Random } from "../simulation/random.ts";
import { edgeCampaign } from "./edge.ts";

afterAll(() => killAll());

test("clients do not notice who dies", async () => {
  const options = { runtime: "deno", perSecond: 60, kills: 3, pauseMs: 2_000 } as const;
  const { kills, outcomes, violations } = await edgeCampaign(options, new Random(1), () => undefined);
  expect(violations).toEqual([]);
  expect(Object.keys(kills).toSorted()).toEqual(["control", "gateway", "worker"]);
  for (const kind of ["get", "head", "keyed"]) expect(Object.keys(outcomes[kind] ?? {})).toEqual(["ok"]);
}, 90_000);
