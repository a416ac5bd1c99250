import { expect, test } from "bun:test";
import { clientAddress } from "./client-address.ts";

test.each([
  ["10.1.2.3", "10.1.2.3"],
  ["::ffff:10.1.2.3", "10.1.2.3"],
  ["::FFFF:10.1.2.3", "10.1.2.3"],
  ["::ffff:a01:203", "::ffff:a01:203"],
  ["2001:db8::1", "2001:db8::1"],
  [null, ""],
])("clientAddress of %p is %p", (forwarded, address) => {
  expect(clientAddress(forwarded)).toBe(address);
});
