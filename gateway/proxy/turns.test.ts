import { expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { Turns } from "./turns.ts";

const never = new AbortController();

/** Takes a turn and notes when it came. */
function asker(turns: Turns, order: string[]) {
  return (tenant: string, name = tenant): Promise<() => void> =>
    Promise.resolve(turns.take(tenant, never)).then((end) => {
      order.push(name);
      return end;
    });
}

test("a free turn is taken at once; a tenant at its bound waits for itself only", async () => {
  const turns = new Turns({ totalMax: 10, tenantMax: 1 });
  const first = turns.take("a", never);
  expect(typeof first).toBe("function");
  const second = turns.take("a", never);
  expect(second).toBeInstanceOf(Promise);
  expect(typeof turns.take("b", never)).toBe("function");
  expect(turns.waiting).toBe(1);
  if (typeof first === "function") first();
  expect(typeof (await second)).toBe("function");
  expect(turns.waiting).toBe(0);
});

test("when all are at their bound, tenants take turns whatever the length of their queues", async () => {
  const turns = new Turns({ totalMax: 1, tenantMax: 1 });
  const order: string[] = [];
  const ask = asker(turns, order);
  const ends = [
    ask("busy", "b0"),
    ask("busy", "b1"),
    ask("busy", "b2"),
    ask("busy", "b3"),
    ask("rare", "r1"),
  ];
  for (const end of ends.map((promise) => promise.then((end) => end()))) await end;
  expect(order).toEqual(["b0", "b1", "r1", "b2", "b3"]);
});

test("one that leaves its queue takes nobody's turn; ending twice counts once", async () => {
  const turns = new Turns({ totalMax: 1, tenantMax: 1 });
  const first = turns.take("a", never);
  const leave = new AbortController();
  const left = Promise.resolve(turns.take("b", leave));
  const last = Promise.resolve(turns.take("c", never));
  leave.abort(new Error("left"));
  await expect(left).rejects.toThrow("left");
  if (typeof first === "function") {
    first();
    first();
  }
  await last;
  const gone = new AbortController();
  const waits = turns.take("d", gone);
  expect(waits).toBeInstanceOf(Promise);
  gone.abort(new Error("gone"));
  await expect(Promise.resolve(waits)).rejects.toThrow("gone");
});

test("a full queue refuses", async () => {
  const turns = new Turns({ totalMax: 1, tenantMax: 1 });
  const gone = new AbortController();
  void turns.take("a", never);
  const waiting = Array.from({ length: limits.turnQueueMax }, () =>
    Promise.resolve(turns.take("a", gone)).catch(() => undefined),
  );
  expect(() => turns.take("a", never)).toThrow("too many at a time");
  gone.abort();
  await Promise.all(waiting);
  expect(turns.waiting).toBe(0);
});

test("a tenant's own bound counts instead of everybody's", async () => {
  const turns = new Turns({ totalMax: 10, tenantMax: 1 });
  const [first, second] = [turns.take("a", never, 2), turns.take("a", never, 2)];
  expect([typeof first, typeof second]).toEqual(["function", "function"]);
  const third = turns.take("a", never, 2);
  expect(third).toBeInstanceOf(Promise);
  if (typeof first === "function") first();
  expect(typeof (await third)).toBe("function");
  expect(typeof turns.take("b", never)).toBe("function");
  expect(turns.waiting).toBe(0);
});
