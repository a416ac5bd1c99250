import { expect, test } from "bun:test";
import { limits } from "../../../shared/limits.ts";
import { Calls } from "./calls.ts";

const signal = (): AbortSignal => new AbortController().signal;
const command = new Uint8Array();

test("calls: beyond the bound none leaves, and an answer makes room for the next", async () => {
  const calls = new Calls();
  const sent: number[] = [];
  const send = (frame: { kind: string; id?: number }): boolean => sent.push(frame.id ?? 0) > 0;
  const waiting = Array.from({ length: limits.raftForwardsMax }, () => calls.call(command, send, signal()));
  await expect(calls.call(command, send, signal())).rejects.toMatchObject({ code: "control_no_leader" });
  expect(sent).toHaveLength(limits.raftForwardsMax);
  calls.answered({ kind: "result", id: sent[0]!, result: { ok: true, rev: 1 } });
  expect(await waiting[0]).toEqual({ ok: true, rev: 1 });
  const next = calls.call(command, send, signal());
  expect(sent).toHaveLength(limits.raftForwardsMax + 1);
  calls.lost();
  const ends = await Promise.allSettled([...waiting.slice(1), next]);
  expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(["rejected"]));
});

test("calls: what certainly did not leave says so", async () => {
  const refused = new Calls().call(command, () => false, signal());
  await expect(refused).rejects.toMatchObject({ code: "control_no_leader" });
});
