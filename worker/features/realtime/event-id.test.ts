import { expect, test } from "bun:test";
import { eventId, newClientName, parseEventId } from "./event-id.ts";

test.each([0, 1, 61, 62, 1_800_000_000_000_000, Number.MAX_SAFE_INTEGER])(
  "position %d is read back",
  (position) => {
    const name = newClientName();
    const id = eventId(name, position);
    expect(id).toMatch(/^[0-9A-Za-z]{40}$/);
    expect(parseEventId(id)).toEqual({ name, position });
  },
);

test.each(["", "nobody", "x".repeat(39), `${"x".repeat(39)}-`, "x".repeat(41)])("%p is no id", (text) => {
  expect(parseEventId(text)).toBeUndefined();
});
