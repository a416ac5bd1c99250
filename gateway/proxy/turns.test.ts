import { expect, test } from "bun:test";
import { limits } from "../../shared/limits.ts";
import { type Turn, Turns } from "./turns.ts";

const never = new AbortController();

/** Takes a turn and notes when it came. */
function asker(turns: Turns, order: string[]) {
  return (tenant: string, name = tenant): Promise<Turn> =>
    Promise.resolve(turns.take(tenant, never)).then((turn) => {
      order.push(name);
      return turn;
    });
}

/** A turn that was to be had at once. */
function atOnce(turn: Turn | Promise<Turn>): Turn {
  if (turn instanceof Promise) throw new Error("it waits");
  return turn;
}

test("a free turn is taken at once; a tenant at its bound waits for itself only", async () => {
  const turns = new Turns({ totalMax: 10, tenantMax: 1 });
  const first = atOnce(turns.take("a", never));
  const second = turns.take("a", never);
  expect(second).toBeInstanceOf(Promise);
  expect(atOnce(turns.take("b", never)).tenant).toBe("b");
  expect(turns.waiting).toBe(1);
  turns.end(first);
  expect((await second).tenant).toBe("a");
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
  for (const end of ends.map((promise) => promise.then((turn) => turns.end(turn)))) await end;
  expect(order).toEqual(["b0", "b1", "r1", "b2", "b3"]);
});

test("one that leaves its queue takes nobody's turn", async () => {
  const turns = new Turns({ totalMax: 1, tenantMax: 1 });
  const first = atOnce(turns.take("a", never));
  const leave = new AbortController();
  const left = Promise.resolve(turns.take("b", leave));
  const last = Promise.resolve(turns.take("c", never));
  leave.abort(new Error("left"));
  await expect(left).rejects.toThrow("left");
  turns.end(first);
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
  const first = atOnce(turns.take("a", never, 2));
  atOnce(turns.take("a", never, 2));
  const third = turns.take("a", never, 2);
  expect(third).toBeInstanceOf(Promise);
  turns.end(first);
  await third;
  atOnce(turns.take("b", never));
  expect(turns.waiting).toBe(0);
});

test("what a tenant had running counts also when many others came and went", () => {
  const turns = new Turns({ totalMax: 10_000, tenantMax: 2 });
  for (let i = 0; i <= limits.turnsKeptMax; i++) turns.end(atOnce(turns.take(`other-${i}`, never)));
  const [first] = [atOnce(turns.take("a", never)), atOnce(turns.take("a", never))];
  turns.end(first);
  const third = atOnce(turns.take("a", never));
  expect(turns.take("a", never)).toBeInstanceOf(Promise);
  turns.end(third);
});
