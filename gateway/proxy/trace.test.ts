import { expect, test } from "bun:test";
import { Outgoing } from "../http1/outgoing.ts";
import { Trace } from "./trace.ts";

const newTrace = (): string => new Trace().parent;

test("traces are well-formed, and never all zero", () => {
  const fake = withoutChance();
  try {
    for (const trace of Array.from({ length: 400 }, newTrace))
      expect(trace).toMatch(/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00$/);
  } finally {
    fake.end();
  }
});

test("no two have an id in common, also beyond those that are drawn together", () => {
  const traces = Array.from({ length: 1_000 }, newTrace);
  // What was drawn without chance is used up by then.
  const ids = traces.slice(500).flatMap((trace) => trace.split("-").slice(1, 3));
  expect(new Set(ids).size).toBe(1_000);
});

/** Until its end nothing is random. */
function withoutChance(): { end: () => void } {
  const real = crypto.getRandomValues.bind(crypto);
  const zeros = (array: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => array.fill(0);
  crypto.getRandomValues = zeros;
  return { end: () => (crypto.getRandomValues = real) };
}

test("an id that is kept stays what it was, as text and as bytes", () => {
  const traces = Array.from({ length: 300 }, () => new Trace());
  const before = traces.map((trace) => [trace.id, trace.parent]);
  for (const [i, trace] of traces.entries()) {
    const out = new Outgoing();
    trace.putId(out);
    out.text(" ");
    trace.putParent(out);
    expect(new TextDecoder().decode(out.copy(null)).split(" ")).toEqual(before[i]!);
    expect(trace.parent).toStartWith(`00-${trace.id}-`);
  }
});
