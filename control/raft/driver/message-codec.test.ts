import { expect, test } from "bun:test";
import type { Message } from "../core/types.ts";
import { decodeMessages, encodeMessage } from "./message-codec.ts";

const head = { from: "a", to: "b", term: 3 };
const membership = { voters: ["a"], learners: ["b"] };
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

const STREAM = Buffer.concat(MESSAGES.map((message) => encodeMessage("c", message)));

test("decodeMessages gives back what encodeMessage framed", () => {
  const { messages, taken } = decodeMessages("c", STREAM);
  expect(taken).toBe(STREAM.length);
  // Bytes come back as Buffers; a clone makes them plain.
  expect(structuredClone(messages)).toEqual(MESSAGES);
});

test("decodeMessages leaves a frame that is not all there", () => {
  for (let cut = 0; cut < STREAM.length; cut += 5) {
    const first = decodeMessages("c", STREAM.subarray(0, cut));
    const rest = decodeMessages("c", STREAM.subarray(first.taken));
    expect(first.messages.length + rest.messages.length).toBe(MESSAGES.length);
  }
});

test("decodeMessages refuses damage and other clusters", () => {
  const damaged = Buffer.from(STREAM);
  damaged[20]! ^= 1;
  const code = (run: () => unknown): unknown => {
    try {
      return run();
    } catch (error) {
      return (error as { code?: unknown }).code;
    }
  };
  expect(code(() => decodeMessages("c", damaged))).toBe("object_corrupt");
  expect(code(() => decodeMessages("d", STREAM))).toBe("object_foreign");
  expect(code(() => decodeMessages("c", Buffer.from([255, 255, 255, 255, 0, 0, 0, 0])))).toBe(
    "object_corrupt",
  );
});
