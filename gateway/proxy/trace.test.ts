import { expect, test } from "bun:test";
import { newTrace } from "./trace.ts";

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
