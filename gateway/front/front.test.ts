import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { FakeSocket } from "../http1/fake-socket.ts";
import { Answer } from "../proxy/answer.ts";
import { ClientConnection, handleBy } from "./client-connection.ts";
import type { IncomingRequest } from "./incoming-request.ts";

const settle = () => new Promise((resolve) => setTimeout(resolve, 1));
const bytes = (text: string) => new TextEncoder().encode(text);
const answered = (text: string, fields: [string, string][] = [["date", "now"]]) =>
  Promise.resolve(new Answer(200, fields, bytes(text)));

type Answering = (request: IncomingRequest) => Promise<Answer>;

/** Answers with what it was asked. */
const echo: Answering = async ({ method, url, body }) => {
  const sent = body === null ? "" : await new Response(body).text();
  return new Answer(200, [["date", "now"]], bytes(`${method} ${url} ${sent}`));
};

function open(answer: Answering) {
  const handle = handleBy(answer);
  const socket = new FakeSocket();
  const connection = new ClientConnection(socket, "192.0.2.1", { handle, clientWaitMs: 30_000 });
  return { socket, connection, ended: connection.serve() };
}

const get = (path: string, ...lines: string[]): string =>
  [`GET ${path} HTTP/1.1`, "Host: a", ...lines, "", ""].join("\r\n");
const ok = (body: string): string =>
  `HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

test("requests are answered one after another, whatever pieces they come in", async () => {
  const requests: [sent: string, seen: string][] = [
    [get("/a"), "GET /a "],
    [`POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello`, "POST /b hello"],
    [
      `POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhe\r\n3\r\nllo\r\n0\r\nT: r\r\n\r\n`,
      "POST /c hello",
    ],
    [`\r\n${get("/d")}`, "GET /d "],
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...requests), { minLength: 1, maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
      async (chosen, sizes) => {
        const { socket, ended } = open(echo);
        const sent = chosen.map(([text]) => text).join("");
        for (let at = 0, i = 0; at < sent.length; i++) {
          const size = sizes[i % sizes.length] ?? 1;
          socket.say(sent.slice(at, at + size));
          at += size;
        }
        const expected = chosen.map(([, seen]) => ok(seen)).join("");
        while (socket.written.length < expected.length) await settle();
        expect(socket.written).toBe(expected);
        socket.end();
        await ended;
        expect(socket.closed).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
});

test("requests come byte by byte, with empty lines before them", async () => {
  const { socket } = open(echo);
  const sent = [`\r\n\r\n${get("/a")}`, get("/b"), `\r\n${get("/a")}`, get("/a"), get("/a")].join("");
  for (const character of sent) {
    socket.say(character);
    await Promise.resolve();
  }
  const expected = ["/a", "/b", "/a", "/a", "/a"].map((path) => ok(`GET ${path} `)).join("");
  for (let i = 0; i < 1_000 && socket.written.length < expected.length; i++) await settle();
  expect(socket.written).toBe(expected);
  socket.end();
});

test("a head that is nearly the last one, or follows it in pieces or with more, is read as what it is", async () => {
  const { socket } = open(echo);
  let expected = "";
  const say = async (text: string, ...seen: string[]): Promise<void> => {
    expected += seen.map(ok).join("");
    socket.say(text);
    for (let i = 0; i < 1_000 && socket.written.length < expected.length; i++) await settle();
    expect(socket.written).toBe(expected);
  };
  const a = get("/a");
  await say(a, "GET /a ");
  await say(a, "GET /a ");
  // Of the same length, and different at either end or beyond.
  await say(get("/b"), "GET /b ");
  await say(a, "GET /a ");
  await say(a + a, "GET /a ", "GET /a ");
  await say(a.slice(0, 20));
  await say(a.slice(20), "GET /a ");
  const post = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
  await say(`${post}1`, "POST /a 1");
  await say(post);
  await say("2", "POST /a 2");
  await say(post);
  await say("3", "POST /a 3");
  await say(a, "GET /a ");
  const long = get("/a", `x: ${"y".repeat(2_000)}`);
  await say(long, "GET /a ");
  await say(long, "GET /a ");
  await say(get("/c", `x: ${"y".repeat(2_000)}`), "GET /c ");
  socket.end();
});

test("garbage on a connection never reaches anybody as a request that was not sent, and ends", async () => {
  const pieces = fc.constantFrom(
    "\r\n",
    "\r\n\r\n",
    "0\r\n\r\n",
    "5\r\n",
    "\n",
    "GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(pieces, fc.string({ unit: "binary-ascii" }))), async (parts) => {
      const seen: string[] = [];
      const { socket, ended } = open((request) => {
        seen.push(request.url);
        return answered("");
      });
      for (const part of parts) socket.say(part);
      socket.end();
      await ended;
      const whole = parts.join("").split("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").length - 1;
      expect(seen.filter((url) => url === "/x").length).toBeLessThanOrEqual(whole);
      expect(socket.closed).toBe(true);
    }),
    { numRuns: 300 },
  );
});

const stream = (...parts: string[]) =>
  new ReadableStream<Uint8Array>({
    start: (controller) => {
      for (const part of parts) controller.enqueue(bytes(part));
      controller.close();
    },
  });
const DATED: [string, string][] = [["date", "now"]];

test.each<[string, string, () => Answer, string]>([
  [
    "a stream",
    get("/"),
    () => new Answer(200, DATED, stream("ab", "c")),
    "transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
  ],
  [
    "a stream of a length",
    get("/"),
    () => new Answer(200, [["content-length", "3"], ...DATED], stream("ab", "c")),
    "content-length: 3\r\n\r\nabc",
  ],
  [
    "a stream to 1.0",
    "GET / HTTP/1.0\r\n\r\n",
    () => new Answer(200, DATED, stream("ab")),
    "connection: close\r\n\r\nab",
  ],
  [
    "nothing",
    get("/"),
    () => new Answer(200, [["content-length", "7"], ...DATED], null),
    "content-length: 0\r\n\r\n",
  ],
  [
    "HEAD",
    get("/").replace("GET", "HEAD"),
    () => new Answer(200, [["content-length", "7"], ...DATED], null),
    "content-length: 7\r\n\r\n",
  ],
  ["304", get("/"), () => new Answer(304, [...DATED, ["etag", "x"]], null), "etag: x\r\n\r\n"],
  ["204", get("/"), () => new Answer(204, [["content-length", "7"], ...DATED], null), "date: now\r\n\r\n"],
])("%s is framed as its client can read it", async (_, sent, answer, end) => {
  const { socket } = open(() => Promise.resolve(answer()));
  socket.say(sent);
  while (!socket.written.endsWith(end)) await settle();
  expect(socket.written.slice(socket.written.indexOf("\r\n") + 2).replace("date: now\r\n", "")).toBe(
    end.replace("date: now\r\n", ""),
  );
});

test.each([
  ["breaks", () => new ReadableStream<Uint8Array>({ pull: (c) => c.error(new Error("broken")) }), undefined],
  ["is longer than it says", () => stream("abcd"), "3"],
  ["is shorter than it says", () => stream("ab"), "3"],
])("a stream that %s ends the connection, and nothing looks like its end", async (_, body, length) => {
  const fields: [string, string][] = length === undefined ? [] : [["content-length", length]];
  const { socket, ended } = open(() => Promise.resolve(new Answer(200, fields, body())));
  socket.say(get("/"));
  await ended;
  expect(socket.closed).toBe(true);
  expect(socket.written).not.toEndWith("0\r\n\r\n");
  expect(socket.written).not.toContain("abc");
});

test("100 Continue is said when the body is asked for, and not otherwise", async () => {
  const head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  const asked = open(echo);
  asked.socket.say(head);
  while (asked.socket.written === "") await settle();
  expect(asked.socket.written).toStartWith("HTTP/1.1 100 ");
  asked.socket.say("ok");
  while (!asked.socket.written.endsWith("POST / ok")) await settle();

  const unasked = open(() => answered("no"));
  unasked.socket.say(head);
  while (!unasked.socket.written.endsWith("no")) await settle();
  expect(unasked.socket.written).toStartWith("HTTP/1.1 200 ");
  expect(unasked.socket.written).toContain("connection: close\r\n");
});

test("a body that nobody read is not the next request", async () => {
  const seen: string[] = [];
  const { socket, ended } = open(({ url }) => {
    seen.push(url);
    return answered("no");
  });
  const hidden = get("/hidden");
  const head = `POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: ${hidden.length}\r\n\r\n`;
  // One that came along with its head is read.
  socket.say(head + hidden + head + hidden.slice(0, 9));
  while (seen.length < 2) await settle();
  socket.say(hidden.slice(9) + get("/y"));
  socket.end();
  await ended;
  expect(seen).toEqual(["/x", "/x"]);
  expect(socket.written).toContain("connection: close\r\n");
});

test.each([
  ["no request", "nonsense\r\n\r\n", 400],
  ["a head that is too large", `GET /${"a".repeat(70_000)} HTTP/1.1\r\n\r\n`, 413],
])("%s is answered, and the connection ends", async (_, sent, status) => {
  const { socket, ended } = open(() => answered("never"));
  socket.say(sent);
  socket.end();
  await ended;
  expect(socket.written).toStartWith(`HTTP/1.1 ${status} `);
  expect(socket.written).toContain('{"error":{"code":');
  expect(socket.written).not.toContain("never");
});

test("a client that leaves is noticed: while it waits, and while it is sent a stream", async () => {
  let signal: AbortSignal | undefined;
  const waiting = open((request) => {
    signal = request.signal;
    return new Promise(() => undefined);
  });
  waiting.socket.say(get("/"));
  while (signal === undefined) await settle();
  expect(signal.aborted).toBe(false);
  waiting.socket.end();
  while (!signal.aborted) await settle();

  let cancelled = false;
  const endless = new ReadableStream<Uint8Array>({ cancel: () => void (cancelled = true) });
  const streaming = open(() => Promise.resolve(new Answer(200, [], endless)));
  streaming.socket.say(get("/"));
  while (!streaming.socket.written.endsWith("\r\n\r\n")) await settle();
  streaming.socket.end();
  await streaming.ended;
  expect(cancelled).toBe(true);
  expect(streaming.socket.closed).toBe(true);
});

test("a head has a time, a silent stream has none, and a client that takes nothing has one", async () => {
  const start = performance.now();
  const { socket, connection } = open(() =>
    Promise.resolve(
      new Answer(200, [], new ReadableStream<Uint8Array>({ start: (c) => c.enqueue(bytes("hello")) })),
    ),
  );
  expect(connection.dueAtMs - start).toBeGreaterThan(5_000);
  expect(connection.dueAtMs).toBeLessThan(Number.POSITIVE_INFINITY);
  socket.say("GET / HT");
  await settle();
  expect(connection.dueAtMs).toBeLessThan(Number.POSITIVE_INFINITY);
  socket.say("TP/1.1\r\nHost: a\r\n\r\n");
  while (!socket.written.includes("hello\r\n")) await settle();
  await settle();
  expect(connection.dueAtMs).toBe(Number.POSITIVE_INFINITY);

  const stuck = open(() => answered("hello"));
  stuck.socket.stuck = true;
  stuck.socket.say(get("/"));
  await settle();
  const { dueAtMs } = stuck.connection;
  expect(dueAtMs - performance.now()).toBeGreaterThan(20_000);
  expect(dueAtMs).toBeLessThan(Number.POSITIVE_INFINITY);
});

test("an idle connection ends at once when it is to end, another one with its answer", async () => {
  const idle = open(echo);
  await settle();
  idle.connection.end();
  await idle.ended;
  expect(idle.socket.closed).toBe(true);

  const { promise, resolve } = Promise.withResolvers<Answer>();
  const busy = open(() => promise);
  busy.socket.say(get("/"));
  await settle();
  busy.connection.end();
  expect(busy.socket.closed).toBe(false);
  resolve(await answered("done"));
  while (!busy.socket.written.endsWith("done")) await settle();
  expect(busy.socket.written).toContain("connection: close\r\n");
  busy.socket.end();
  await busy.ended;
});

test("after 101 bytes go both ways as they are, until a side ends", async () => {
  const worker = new FakeSocket();
  const tunnel = { socket: worker, early: bytes("early ") };
  const { socket, ended } = open(() =>
    Promise.resolve(new Answer(101, [["sec-websocket-accept", "x"]], null, tunnel)),
  );
  socket.say(`${get("/", "Connection: Upgrade", "Upgrade: websocket")}first `);
  worker.say("later");
  while (!socket.written.endsWith("early later")) await settle();
  expect(socket.written).toContain("connection: Upgrade\r\nupgrade: websocket\r\n");
  socket.say("second");
  while (worker.written !== "first second") await settle();
  worker.end();
  await ended;
  expect([socket.closed, worker.closed]).toEqual([true, true]);
});

test("what is still on its way has a client's time before the connection ends", async () => {
  const { socket, connection, ended } = open(() => answered("hello"));
  const { promise, resolve } = Promise.withResolvers<void>();
  Object.assign(socket, { flushed: () => promise });
  socket.say(get("/", "Connection: close"));
  while (!socket.written.endsWith("hello")) await settle();
  await settle();
  expect(connection.dueAtMs - performance.now()).toBeGreaterThan(20_000);
  expect(socket.closed).toBe(false);
  resolve();
  await settle();
  expect(connection.dueAtMs - performance.now()).toBeLessThan(20_000);
  socket.end();
  await ended;
  expect(socket.closed).toBe(true);
});
