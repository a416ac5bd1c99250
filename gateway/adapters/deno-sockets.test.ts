import { expect, test } from "bun:test";
import { type Outgoing, outgoing } from "../http1/outgoing.ts";
import { limits } from "../../shared/limits.ts";
import { Random } from "../../test/simulation/random.ts";
import { DenoSocket } from "./deno-sockets.ts";

/** Takes what the test lets it take, one write at a time, in order. */
class FakeConnection {
  taken = "";
  /** Bytes of a write. */
  takes = 3;
  /** Writes. */
  asked = 0;
  closed = 0;
  ended = false;
  readonly #waiting: (() => void)[] = [];

  read(): Promise<number | null> {
    return new Promise(() => undefined);
  }

  write(bytes: Uint8Array): Promise<number> {
    this.asked += 1;
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        if (this.closed > 0) reject(new Error("closed"));
        const part = bytes.subarray(0, this.takes);
        this.taken += new TextDecoder().decode(part);
        resolve(part.length);
      });
    });
  }

  closeWrite(): Promise<void> {
    this.ended = true;
    return Promise.resolve();
  }

  close(): void {
    this.closed += 1;
  }

  /** Lets the first write that waits be taken. */
  async take(): Promise<void> {
    await Bun.sleep(0);
    this.#waiting.shift()?.();
    await Bun.sleep(0);
  }
}

const bytes = (text: string) => new TextEncoder().encode(text);
const head = (text: string): Outgoing => {
  outgoing.begin().text(text);
  return outgoing;
};

test("what is sent counts as taken while it is alone, and all goes out in order", async () => {
  const native = new FakeConnection();
  const socket = new DenoSocket(native);
  const body = bytes("body");
  expect(socket.send(head("head "), body)).toBeUndefined();
  // It is the caller's again.
  body.fill(0);
  let second = false;
  const sending = socket.send(head("next"), null)?.then(() => (second = true));
  expect(sending).toBeInstanceOf(Promise);
  for (let i = 0; i < 3; i++) await native.take();
  expect([native.taken, second]).toEqual(["head body", false]);
  for (let i = 0; i < 2; i++) await native.take();
  await sending;
  expect(native.taken).toBe("head bodynext");
});

test("what was sent before a connection was closed goes out", async () => {
  const native = new FakeConnection();
  const socket = new DenoSocket(native);
  void socket.send(head("two"), null);
  expect(native.asked).toBe(0);
  socket.close();
  expect([native.asked, native.closed]).toEqual([1, 1]);
});

test("flushed settles when nothing is under way, and this side ends after that", async () => {
  const native = new FakeConnection();
  const socket = new DenoSocket(native);
  expect(socket.flushed()).toBeUndefined();
  void socket.send(head("four"), null);
  let flushed = false;
  const flushing = socket.flushed()?.then(() => (flushed = true));
  const ended = socket.closeWrite();
  await native.take();
  expect([flushed, native.ended]).toEqual([false, false]);
  await native.take();
  await Promise.all([flushing, ended]);
  expect(native.ended).toBe(true);
  expect(socket.flushed()).toBeUndefined();
});

test("a connection that breaks fails whoever waits and whoever writes after it, and is closed once", async () => {
  const native = new FakeConnection();
  const socket = new DenoSocket(native);
  void socket.send(head("four"), null);
  const waiting = socket.flushed();
  native.closed = 1;
  const { promise, resolve } = Promise.withResolvers<void>();
  waiting?.then(undefined, () => resolve());
  await native.take();
  await promise;
  await expect(socket.write(bytes("more"))).rejects.toThrow("closed");
  socket.close();
  socket.close();
  expect(native.closed).toBe(2);
});

test("what many connections send stays what it is, in whatever order the system takes it", async () => {
  const random = new Random(7);
  const all = Array.from({ length: 12 }, () => {
    const native = new FakeConnection();
    return { native, socket: new DenoSocket(native), sent: "", open: false };
  });
  const sizes = [1, 30, 2_000, 40_000, limits.sendTogetherBytesMax - 1];
  for (let step = 0; step < 2_000; step++) {
    const one = random.pick(all);
    // One that needs more room, and that nobody sends.
    if (random.chance(0.02)) outgoing.begin().text("x".repeat(limits.outgoingBytes));
    if (!one.open) {
      const text = String.fromCharCode(97 + random.below(26)).repeat(random.pick(sizes));
      expect(one.socket.send(head("<"), bytes(text))).toBeUndefined();
      one.sent += `<${text}`;
      one.open = true;
      // Others come in the same turn, and later ones.
      if (random.chance(0.5)) continue;
    }
    one.native.takes = random.pick([7, 50_000, 200_000]);
    await one.native.take();
    one.open = one.socket.unsent;
    expect(one.native.taken).toBe(one.sent.slice(0, one.native.taken.length));
    if (!one.open) expect(one.native.taken.length).toBe(one.sent.length);
  }
});
