import { expect, test } from "bun:test";
import type { UpstreamAnswer, UpstreamRequest } from "../proxy/upstream.ts";
import { promised } from "../proxy/told.ts";
import { Stop } from "../proxy/stop.ts";
import { FakeSocket } from "./fake-socket.ts";
import { Http1Pool } from "./pool.ts";

/** What is told of lasts no longer than the telling. */
const ask = async (pool: Http1Pool, request: UpstreamRequest): Promise<UpstreamAnswer> =>
  promised((told) =>
    pool.send(request, {
      done: (answer) =>
        told.done(answer.body instanceof Uint8Array ? { ...answer, body: answer.body.slice() } : answer),
      failed: told.failed,
    }),
  );

function setUp() {
  const peers: FakeSocket[] = [];
  const pool = new Http1Pool(() => {
    const peer = new FakeSocket();
    peers.push(peer);
    return Promise.resolve(peer);
  });
  const send = (request: Partial<UpstreamRequest> = {}) =>
    ask(pool, {
      origin: "http://worker:1",
      path: "/x?y=1",
      method: "GET",
      fields: [["a", "b"]],
      body: null,
      stop: new Stop(),
      ...request,
    });
  return { peers, send, pool };
}

const textOf = ({ body }: UpstreamAnswer) => new Response(body).text();
const settle = () => new Promise((resolve) => setTimeout(resolve, 1));

test("a connection serves one request after another, in whatever pieces answers come", async () => {
  const { peers, send } = setUp();
  const answers = [
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
  ];
  for (const [i, answer] of answers.entries()) {
    const sent = send();
    await settle();
    const [peer] = peers;
    if (i === 0) peer?.say(answer);
    else for (const character of answer) peer?.say(character);
    expect(await textOf(await sent)).toBe("hello");
    await settle();
  }
  expect(peers).toHaveLength(1);
  expect(peers[0]?.written).toBe("GET /x?y=1 HTTP/1.1\r\nhost: worker:1\r\na: b\r\n\r\n".repeat(3));
});

test("what is asked when an answer is told of goes over the same connection", async () => {
  const { peers, send, pool } = setUp();
  const first = send();
  await settle();
  const request = { origin: "http://worker:1", path: "/2", method: "GET", fields: [], body: null };
  const second = promised<string>((told) =>
    pool.send(
      { ...request, stop: new Stop() },
      {
        done: () =>
          pool.send(
            { ...request, path: "/3", stop: new Stop() },
            { done: (answer) => void textOf(answer).then(told.done), failed: told.failed },
          ),
        failed: told.failed,
      },
    ),
  );
  await settle();
  const ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
  for (const peer of peers) peer.say(`${ok}ok`);
  await first;
  await settle();
  peers[1]?.say(`${ok}no`);
  expect(await second).toBe("no");
  expect(peers.map(({ written }) => written.match(/^GET \S+/gm)?.join())).toEqual([
    "GET /x?y=1",
    "GET /2,GET /3",
  ]);
});

test("one that the worker ended, or spoke on unasked, is not used again", async () => {
  const { peers, send } = setUp();
  for (const [i, spoil] of [
    (peer: FakeSocket) => peer.end(),
    (peer: FakeSocket) => peer.say("HTTP/1.1 200 OK\r\n"),
  ].entries()) {
    const sent = send();
    await settle();
    peers[i]?.say("HTTP/1.1 204 No Content\r\n\r\n");
    await sent;
    await settle();
    const peer = peers[i];
    if (peer !== undefined) spoil(peer);
    await settle();
    expect(peer?.closed).toBe(true);
  }
  expect(peers).toHaveLength(2);
});

test("more than the answer ends the connection", async () => {
  const { peers, send } = setUp();
  const sent = send();
  await settle();
  peers[0]?.say(
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
  );
  expect(await textOf(await sent)).toBe("ok");
  await settle();
  expect(peers[0]?.closed).toBe(true);
});

test("a body is framed by its length, in chunks, or not at all", async () => {
  const { peers, send } = setUp();
  const stream = (...parts: string[]) => new Response(new Blob(parts)).body;
  const bodies: [Partial<UpstreamRequest>, string][] = [
    [
      { body: new TextEncoder().encode("hello"), fields: [["content-length", "99"]] },
      "content-length: 5\r\n\r\nhello",
    ],
    [{ body: stream("hel", "lo"), fields: [["content-length", "5"]] }, "content-length: 5\r\n\r\nhello"],
    [{ body: stream("hello"), fields: [] }, "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
    [{ body: null, fields: [] }, "content-length: 0\r\n\r\n"],
  ];
  for (const [request, framed] of bodies) {
    const sent = send({ ...request, method: "POST" });
    await settle();
    const peer = peers.at(-1);
    peer?.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    expect(await textOf(await sent)).toBe("ok");
    expect(peer?.written).toBe(`POST /x?y=1 HTTP/1.1\r\nhost: worker:1\r\n${framed}`);
    await settle();
    expect(peer?.closed).toBe(true);
  }
});

test("a stream that is longer or shorter than declared fails and ends the connection", async () => {
  for (const length of ["4", "6"]) {
    const { peers, send } = setUp();
    const body = new Response("hello").body;
    await expect(send({ method: "POST", body, fields: [["content-length", length]] })).rejects.toThrow(
      "than it says",
    );
    expect(peers[0]?.closed).toBe(true);
  }
});

test("a header that would be two is not sent", async () => {
  const { peers, send } = setUp();
  await expect(send({ fields: [["a", "b\r\nx: y"]] })).rejects.toThrow();
  expect(peers[0]?.written).toBe("");
});

test("an end before or within the answer is an error; before anything was sent it is a refusal", async () => {
  const { peers, send } = setUp();
  const before = send();
  await settle();
  peers[0]?.end();
  await expect(before).rejects.toThrow("ended before");
  const within = send();
  await settle();
  peers[1]?.say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel");
  peers[1]?.end();
  await expect(within).rejects.toThrow("ended within the answer");
  const stream = send();
  await settle();
  peers[2]?.say("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nhel");
  const answer = await stream;
  peers[2]?.end();
  await expect(textOf(answer)).rejects.toThrow();
  const refusing = new Http1Pool(() => Promise.reject(new Error("no")));
  const request = { path: "/", method: "POST", fields: [], body: null, stop: new Stop() };
  await expect(ask(refusing, { origin: "http://worker:1", ...request })).rejects.toMatchObject({
    code: "ECONNREFUSED",
  });
});

test("leaving ends the connection: while waiting, and within a stream", async () => {
  const { peers, send } = setUp();
  const leave = new Stop();
  const waiting = send({ stop: leave });
  await settle();
  leave.stop(new Error("left"));
  await expect(waiting).rejects.toThrow("left");
  expect(peers[0]?.closed).toBe(true);
  const streaming = send();
  await settle();
  peers[1]?.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n");
  const { body } = await streaming;
  if (body instanceof ReadableStream) await body.cancel();
  expect(peers[1]?.closed).toBe(true);
});

test("a WebSocket's handshake gives its connection away, with what was said already", async () => {
  const { peers, send } = setUp();
  const asked = send({ socket: true, fields: [["sec-websocket-key", "k"]] });
  await settle();
  const [peer] = peers;
  expect(peer?.written).toContain("connection: upgrade\r\nupgrade: websocket\r\n");
  peer?.say("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nsec-websocket-accept: a\r\n\r\nearly");
  const { status, tunnel } = await asked;
  expect([status, new TextDecoder().decode(tunnel?.early)]).toEqual([101, "early"]);
  tunnel?.socket.close();
  expect(peer?.closed).toBe(true);
  // Nobody else is given it.
  void send().catch(() => undefined);
  await settle();
  expect(peers.length).toBe(2);
});

test("a worker that refuses a WebSocket is answered for as any other", async () => {
  const { peers, send } = setUp();
  const asked = send({ socket: true });
  await settle();
  peers[0]?.say("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno");
  const answer = await asked;
  expect([answer.status, await textOf(answer), answer.tunnel]).toEqual([404, "no", undefined]);
});

test("an answer that comes before all of its request was sent ends the connection, unless that is only told late", async () => {
  const { peers, send } = setUp();
  for (const late of [true, false]) {
    const sent = send();
    await settle();
    const peer = peers.at(-1);
    if (peer !== undefined) peer.unsent = true;
    peer?.say("HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n");
    if (late) void sent.then(() => queueMicrotask(() => peer !== undefined && (peer.unsent = false)));
    expect((await sent).status).toBe(413);
    await settle();
    await settle();
    expect(peer?.closed).toBe(!late);
  }
  expect(peers).toHaveLength(1);
  void send();
  await settle();
  expect(peers).toHaveLength(2);
});

test("an answer whose head is nearly the last one is read as what it is", async () => {
  const { peers, send } = setUp();
  const head = (length: number, status = 200): string =>
    `HTTP/1.1 ${status} OK\r\na: b\r\ncontent-length: ${length}\r\n\r\n`;
  const pieces: [method: string, said: string, status: number, body: string][] = [
    ["GET", `${head(5)}hello`, 200, "hello"],
    ["GET", `${head(5)}world`, 200, "world"],
    ["HEAD", head(5), 200, ""],
    ["HEAD", head(5), 200, ""],
    ["GET", `${head(5)}again`, 200, "again"],
    ["GET", `${head(6)}longer`, 200, "longer"],
    ["GET", `${head(6, 404)}absent`, 404, "absent"],
    ["GET", `HTTP/1.1 103 Hints\r\n\r\n${head(6, 404)}absent`, 404, "absent"],
    ["GET", `${head(6, 404)}absent`, 404, "absent"],
  ];
  for (const [method, said, status, body] of pieces) {
    const sent = send({ method });
    await settle();
    peers[0]?.say(said);
    const answer = await sent;
    expect([answer.status, await textOf(answer)]).toEqual([status, body]);
    await settle();
  }
  expect(peers).toHaveLength(1);
});
