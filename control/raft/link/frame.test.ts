import { expect, test } from "bun:test";
import type { Message } from "../core/types.ts";
import { type Frame, Sealer } from "./frame.ts";

const head = { from: "a", to: "b", term: 3 };
const membership = { voters: ["a"], learners: ["b"], addresses: { a: "http://a" } };
const MESSAGES: Message[] = [
  { ...head, kind: "pre_vote", lastIndex: 4, lastTerm: 2, transfer: false },
  { ...head, kind: "vote_response", granted: true },
  {
    ...head,
    kind: "append",
    previousIndex: 1,
    previousTerm: 1,
    commit: 1,
    entries: [
      { index: 2, term: 3, kind: "noop" },
      { index: 3, term: 3, kind: "data", data: new Uint8Array([1, 2, 3]) },
      { index: 4, term: 3, kind: "membership", membership },
    ],
  },
  { ...head, kind: "append_rejected", previousIndex: 9, hintIndex: 4, hintTerm: 2 },
  { ...head, kind: "heartbeat", commit: 2 ** 40, read: 7 },
  { ...head, kind: "snapshot", snapshot: { index: 9, term: 2, membership, data: new Uint8Array([9]) } },
  { ...head, kind: "read_index", context: "b-x:1" },
];
const FRAMES: Frame[] = [
  ...MESSAGES.map((message): Frame => ({ kind: "message", message })),
  { kind: "propose", id: 1, command: new Uint8Array([1]) },
  { kind: "result", id: 1, result: { ok: false, rev: 3, seen: [{ key: "k", text: "1", modRev: 2 }] } },
  { kind: "chunk", sha256: "x", index: 4, bytes: new Uint8Array(1_000) },
  { kind: "ping" },
];

function code(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

test("Sealer opens what it sealed", () => {
  const out = new Sealer("key");
  const back = new Sealer("key");
  // Bytes come back as Buffers; a clone makes them plain.
  for (const frame of FRAMES) expect(structuredClone(back.open(out.seal(frame)))).toEqual(frame);
});

test("Sealer refuses every flipped bit, another key, and a frame that was repeated or left out", () => {
  const sealed = new Sealer("key").seal(FRAMES[0]!);
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const damaged = sealed.slice();
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    expect([bit, code(() => new Sealer("key").open(damaged))]).toEqual([bit, "object_corrupt"]);
  }
  expect(code(() => new Sealer("other").open(sealed))).toBe("object_corrupt");
  expect(code(() => new Sealer("key").open(sealed.subarray(0, 20)))).toBe("object_corrupt");
  const back = new Sealer("key");
  back.open(sealed);
  expect(code(() => back.open(sealed))).toBe("object_corrupt");
  const out = new Sealer("key");
  out.seal(FRAMES[0]!);
  expect(code(() => new Sealer("key").open(out.seal(FRAMES[1]!)))).toBe("object_corrupt");
});
