/** Workers behind TLS on Bun: reached when their certificate is good for their name, and never otherwise. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../../shared/limits.ts";
import { type Outgoing, outgoing } from "../http1/outgoing.ts";
import type { Socket } from "../proxy/upstream.ts";
import { listen } from "./bun-sockets.ts";

/** Of `localhost`, by itself, for a hundred years; for nothing but this test. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBojCCAUmgAwIBAgIUT7KYx5RIHg8gadbJGKw7EzLsh5QwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQd29ya2VyLmxvY2FsaG9zdDAgFw0yNjExMjIwODUxMDFaGA8y
MTI2MTAyOTA4NTEwMVowGzEZMBcGA1UEAwwQd29ya2VyLmxvY2FsaG9zdDBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABA1OHZBt+qyLxwQo45nPhoaQouvyzwnrAQrc
FwQYLF2s3XNAls4LMZ6JSJ0DP50AJHdwB8kUa0KLo4zPhjpF5w6jaTBnMB0GA1Ud
DgQWBBRowxQkzw6lGPzHOtuKafpgvepJXjAfBgNVHSMEGDAWgBRowxQkzw6lGPzH
OtuKafpgvepJXjAUBgNVHREEDTALgglsb2NhbGhvc3QwDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNHADBEAiBVEN3Bfj/YBDTqauP7WWRQFeUlPxiW0pcr3H4f
shtMjAIgH/sZIgINCQngUbZulmHT7kBA3nR2nob4PTJFVlx+tac=
-----END CERTIFICATE-----
`;
const PRIVATE_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJH95NCKtYy4w2a+r
xEXFVfBx7spxt8OV0OtrefgivgGhRANCAAQNTh2Qbfqsi8cEKOOZz4aGkKLr8s8J
6wEK3BcEGCxdrN1zQJbOCzGeiUidAz+dACR3cAfJFGtCi6OMz4Y6RecO
-----END PRIVATE KEY-----
`;

const folder = mkdtempSync(join(tmpdir(), "manybase-tls-"));
const authority = join(folder, "authority.pem");
writeFileSync(authority, CERTIFICATE);
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  tls: { key: PRIVATE_KEY, cert: CERTIFICATE },
  fetch: async (request) => new Response(`got ${(await request.text()).length}`),
});

afterAll(async () => {
  await server.stop(true);
  rmSync(folder, { recursive: true, force: true });
});

/** What a process says that asks by `connect`; whom it trusts is settled when it starts. */
async function ask(host: string, trusted: string): Promise<string> {
  const script = `
    import { connect } from ${JSON.stringify(join(import.meta.dir, "bun-sockets.ts"))};
    const say = (text) => { console.log(text); process.exit(0); };
    const socket = await connect(new URL(process.argv.at(-1))).catch((error) => say("refused: " + error.message));
    const body = "x".repeat(300_000);
    let left = new TextEncoder().encode("POST / HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\ncontent-length: 300000\\r\\n\\r\\n" + body);
    while (left.length > 0) left = left.subarray(await socket.write(left));
    const into = new Uint8Array(10);
    let text = "";
    for (let read = await socket.read(into); read !== null; read = await socket.read(into)) {
      text += new TextDecoder().decode(into.subarray(0, read));
    }
    say(text.split("\\r\\n\\r\\n")[1]);
  `;
  const child = Bun.spawn([process.execPath, "-e", script, `https://${host}:${server.port}`], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: trusted },
    stdout: "pipe",
  });
  return (await new Response(child.stdout).text()).trim();
}

test("connect reaches who proves its name, and gives bytes both ways", async () => {
  expect(await ask("localhost", authority)).toBe("got 300000");
});

test.each([
  ["another name", "127.0.0.1", authority],
  ["a certificate that nobody vouches for", "localhost", ""],
])("connect refuses %s", async (_, host, trusted) => {
  expect(await ask(host, trusted)).toStartWith("refused: ");
});

/** What a client reads of a connection that is served so, once it may read. */
async function read(serve: (socket: Socket) => unknown, mayRead: Promise<unknown>): Promise<string> {
  const listener = listen({ hostname: "127.0.0.1", port: 0, shared: false }, (socket) => void serve(socket));
  const parts: Buffer[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const client = await Bun.connect({
    hostname: "127.0.0.1",
    port: listener.port,
    socket: {
      open: (socket) => socket.pause(),
      data: (_, bytes) => void parts.push(Buffer.from(bytes)),
      end: () => resolve(),
      close: () => resolve(),
    },
  });
  await mayRead;
  client.resume();
  await ended;
  client.end();
  listener.close();
  return Buffer.concat(parts).toString("latin1");
}

function head(text: string): Outgoing {
  outgoing.begin().text(text);
  return outgoing;
}

const bytes = (text: string) => new TextEncoder().encode(text);

test("what is sent in one turn arrives in order, whatever comes after it", async () => {
  const body = bytes(" body\n");
  const closed = await read((socket) => {
    expect(socket.send(head("1"), body)).toBeUndefined();
    expect(socket.send(head("2"), null)).toBeUndefined();
    body.fill(0);
    void socket.write(bytes(" written\n"));
    void socket.send(head("3"), null);
    socket.close();
  }, Promise.resolve());
  expect(closed).toBe("1 body\n2 written\n3");
  const ended = await read((socket) => {
    void socket.send(head("4"), null);
    void socket.closeWrite?.();
  }, Promise.resolve());
  expect(ended).toBe("4");
});

test("messages of several connections in one turn do not mix", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const sockets: Socket[] = [];
  const sendAll = (socket: Socket): void => {
    sockets.push(socket);
    if (sockets.length < 3) return;
    for (let round = 0; round < 50; round++) {
      for (const [i, one] of sockets.entries()) void one.send(head(`${i}`), bytes(`${i}`.repeat(round * 20)));
    }
    for (const one of sockets) one.close();
    resolve();
  };
  const listener = listen({ hostname: "127.0.0.1", port: 0, shared: false }, sendAll);
  const texts: string[] = ["", "", ""];
  await Promise.all(
    texts.map(async (_, i) => {
      const { promise: over, resolve: end } = Promise.withResolvers<void>();
      const socket = {
        data: (_: unknown, part: Buffer) => void (texts[i] += part.toString()),
        close: () => end(),
      };
      await Bun.connect({ hostname: "127.0.0.1", port: listener.port, socket });
      await over;
    }),
  );
  await promise;
  listener.close();
  const length = Array.from({ length: 50 }, (_, round) => 1 + round * 20).reduce((a, b) => a + b);
  expect(texts.toSorted()).toEqual([0, 1, 2].map((i) => `${i}`.repeat(length)));
});

test("what the system does not take at once follows before anything later, and a sender is made to wait for it", async () => {
  const piece = limits.sendTogetherBytesMax - 10;
  const { promise: waits, resolve } = Promise.withResolvers<void>();
  const text = await read(async (socket) => {
    let waited = 0;
    for (let i = 0; i < 300; i++) {
      const sending = socket.send(head(`<${i}>`), new Uint8Array(piece).fill(65 + (i % 26)));
      if (sending !== undefined) {
        waited += 1;
        resolve();
        await sending;
      } else await Bun.sleep(0);
    }
    expect(waited).toBeGreaterThan(0);
    await socket.flushed?.();
    socket.close();
  }, waits);
  let at = 0;
  for (let i = 0; i < 300; i++) {
    const begin = `<${i}>`;
    expect(text.slice(at, at + begin.length)).toBe(begin);
    at += begin.length;
    expect(text.slice(at, at + piece)).toBe(String.fromCharCode(65 + (i % 26)).repeat(piece));
    at += piece;
  }
  expect(text.length).toBe(at);
});

test("a connection that breaks fails who writes, and who waits for what was sent", async () => {
  const { promise: served, resolve } = Promise.withResolvers<Socket>();
  const listener = listen({ hostname: "127.0.0.1", port: 0, shared: false }, resolve);
  const client = await Bun.connect({
    hostname: "127.0.0.1",
    port: listener.port,
    socket: { open: (socket) => socket.pause(), data: () => undefined },
  });
  const socket = await served;
  let sending: Promise<void> | undefined;
  for (let i = 0; sending === undefined && i < 1_000; i++) {
    sending = socket.send(head("x"), new Uint8Array(limits.sendTogetherBytesMax - 1));
    await Bun.sleep(0);
  }
  client.terminate();
  await expect(sending).rejects.toThrow();
  await expect(Promise.resolve(socket.flushed?.())).rejects.toThrow();
  await expect(Promise.resolve(socket.write(bytes("more")))).rejects.toThrow();
  listener.close();
});
