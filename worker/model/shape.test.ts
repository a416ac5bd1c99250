import { expect, test } from "bun:test";
import { map, merge } from "./shape.ts";

test("merge keeps what has no shape in the order of its keys, at every depth", () => {
  const input = { b: [{ d: 1, c: 2 }], a: { z: null, y: "" } };
  expect(JSON.stringify(merge(map, undefined, input, "extra"))).toBe(
    `{"a":{"y":"","z":null},"b":[{"c":2,"d":1}]}`,
  );
});
