/**
 * Proxies without any logic, as programs: what a runtime costs before a gateway does anything. Each takes the port of what it forwards to
 * and that where it listens, which others share.
 */

/** The runtime's own server and client. */
export const BUN_FETCH = `
  const [to, port] = process.argv.slice(-2).map(Number);
  Bun.serve({ hostname: "127.0.0.1", port, reusePort: true, fetch: ({ method, headers }) =>
    fetch("http://127.0.0.1:" + to + "/", { method, headers, decompress: false }) });
  console.log("ready");
`;
export const DENO_FETCH = `
  const [to, port] = Deno.args.slice(-2).map(Number);
  Deno.serve({ hostname: "127.0.0.1", port, reusePort: true, onListen: () => console.log("ready") }, ({ method, headers }) =>
    fetch("http://127.0.0.1:" + to + "/", { method, headers }));
`;

/**
 * Bytes from socket to socket, over kept connections: of a request it is believed that it has come as a whole, of an answer that it ends
 * where its length says. No gateway can cost less than this.
 */
const END_OF_ANSWER = `
  const decoder = new TextDecoder();
  function answerBytes(bytes) {
    const text = decoder.decode(bytes.subarray(0, 512));
    return text.indexOf("\\r\\n\\r\\n") + 4 + Number(/\\r\\ncontent-length: (\\d+)/i.exec(text)?.[1]);
  }
`;
export const BUN_SOCKETS = `${END_OF_ANSWER}
  const [to, port] = process.argv.slice(-2).map(Number);
  const idle = [];
  const quiet = { drain() {}, error() {} };
  const worker = { ...quiet, close(socket) { idle.splice(idle.indexOf(socket) >>> 0, 1); socket.data.client?.end(); },
    data(socket, bytes) {
      const { data } = socket;
      if (data.left === 0) data.left = answerBytes(bytes);
      data.left -= bytes.length;
      data.client.write(bytes);
      if (data.left > 0) return;
      data.client = undefined;
      idle.push(socket);
    } };
  Bun.listen({ hostname: "127.0.0.1", port, reusePort: true, socket: { ...quiet, close() {}, data(client, bytes) {
    const socket = idle.pop();
    if (socket !== undefined) {
      socket.data.client = client;
      socket.write(bytes);
      return;
    }
    Bun.connect({ hostname: "127.0.0.1", port: to, data: { client, left: 0 }, socket: { ...worker, open: (made) => void made.write(bytes) } });
  } } });
  console.log("ready");
`;
export const DENO_SOCKETS = `${END_OF_ANSWER}
  const [to, port] = Deno.args.slice(-2).map(Number);
  const idle = [];
  async function connect() {
    const made = await Deno.connect({ hostname: "127.0.0.1", port: to });
    made.setNoDelay(true);
    return made;
  }
  async function serve(client) {
    client.setNoDelay(true);
    const buffer = new Uint8Array(4096);
    for (let read = await client.read(buffer); read !== null; read = await client.read(buffer)) {
      const socket = idle.pop() ?? await connect();
      await socket.write(buffer.subarray(0, read));
      for (let left = 0, first = true; first || left > 0; first = false) {
        const came = await socket.read(buffer);
        if (came === null) throw new Error("ended");
        if (first) left = answerBytes(buffer.subarray(0, came));
        left -= came;
        await client.write(buffer.subarray(0, came));
      }
      idle.push(socket);
    }
  }
  const listener = Deno.listen({ hostname: "127.0.0.1", port, reusePort: true });
  console.log("ready");
  for await (const client of listener) serve(client).catch(() => client.close());
`;
