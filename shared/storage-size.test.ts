import { expect, test } from "bun:test";
import { parseStorage, storageText } from "./storage-size.ts";

test("parseStorage reads binary units, bytes and none", () => {
  expect(parseStorage("10GiB", "--storage")).toBe(10 * 1024 ** 3);
  expect(parseStorage("1.5 MiB", "--storage")).toBe(1_572_864);
  expect(parseStorage("4096", "--storage")).toBe(4_096);
  expect(parseStorage("none", "--storage")).toBeNull();
  for (const bad of ["", "0", "-1", "10GB", "GiB", "1e3", "99999999TiB"]) {
    expect(() => parseStorage(bad, "--storage")).toThrow("Cannot read --storage");
  }
});

test("storageText has three digits and a unit", () => {
  expect([0, 1023, 1536, 10 * 1024 ** 2, 250 * 1024 ** 3].map(storageText)).toEqual([
    "0 B",
    "1023 B",
    "1.50 KiB",
    "10.0 MiB",
    "250 GiB",
  ]);
});
