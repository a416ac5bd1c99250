import { expect, test } from "bun:test";
import { table } from "./table.ts";

test("table pads columns to their widest cell and leaves no spaces at line ends", () => {
  expect(
    table(
      ["A", "LONG"],
      [
        ["abc", "1"],
        ["d", "22"],
      ],
      "none",
    ),
  ).toBe("A    LONG\nabc  1\nd    22");
});

test("table says that there is nothing", () => {
  expect(table(["A"], [], "No rows.")).toBe("No rows.");
});
