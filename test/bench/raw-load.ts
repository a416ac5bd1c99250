/**
 * HTTP load by raw keep-alive sockets: as few instructions as possible, since it shares the machine with the server that is
 * measured. One request in flight per connection.
 */
export interface Load {
  url: string;
  method: "GET" | "POST";
  /** Sent as the Authorization header when not empty. */
  token: string;
  body?: string;
  clients: number;
  /** Measured time; half as much again before it is not counted. */
  ms: number;
}

const TWO = "2".charCodeAt(0);
const LAST_CHUNK = "0\r\n\r\n";

/** Requests per second that were answered with a 2xx; others (a store's back pressure) are sent again but not counted. */
export async function runLoad({ url, method, token, body = "", clients, ms }: Load): Promise<number> {
  const { hostname, port, pathname, search, host } = new URL(url);
  const authorization = token === "" ? "" : `Authorization: ${token}\r\n`;
  const entity =
    body === ""
      ? "\r\n"
      : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  const request = Buffer.from(
    `${method} ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\n${authorization}${entity}`,
  );
  let done = 0;
  let failure: Error | undefined;
  /** Of the newest answer that came in one piece: others like it need no look at their heads. */
  let wholeBytes = 0;
  const connections = await Promise.all(
    Array.from({ length: clients }, () =>
      Bun.connect<{ left: number; status: number; end: string }>({
        hostname,
        port: Number(port),
        data: { left: 0, status: 0, end: "" },
        socket: {
          open(socket) {
            socket.data = { left: 0, status: 0, end: "" };
          },
          data(socket, chunk) {
            const { data } = socket;
            if (data.left === 0 && chunk.length === wholeBytes && chunk[9] === TWO) {
              done += 1;
              socket.write(request);
              return;
            }
            if (data.left > 0) data.left -= chunk.length;
            else {
              const end = chunk.indexOf("\r\n\r\n");
              const head = chunk.toString("latin1", 0, end).toLowerCase();
              const at = head.indexOf("\r\ncontent-length: ");
              const isChunked = head.includes("\r\ntransfer-encoding: chunked");
              if (end < 0 || (at < 0 && !isChunked && !head.startsWith("204", 9))) {
                failure = new Error(`Cannot read an answer: ${head}`);
                return;
              }
              const length = at < 0 ? 0 : Number.parseInt(head.slice(at + 18, at + 30), 10);
              data.status = Number.parseInt(head.slice(9, 12), 10);
              data.left = isChunked ? Infinity : length - (chunk.length - end - 4);
              if (data.left === 0) wholeBytes = chunk.length;
            }
            if (data.left === Infinity) {
              data.end = (data.end + chunk.toString("latin1", Math.max(0, chunk.length - 5))).slice(-5);
              if (data.end === LAST_CHUNK) data.left = 0;
            }
            if (data.left > 0) return;
            if (data.status === 503) {
              setTimeout(() => socket.write(request), 1);
              return;
            }
            if (data.status >= 300) {
              failure = new Error(
                `Cannot count an answer ${data.status}: ${chunk.toString("latin1", 0, 500)}`,
              );
              return;
            }
            done += 1;
            socket.write(request);
          },
        },
      }),
    ),
  );
  for (const socket of connections) socket.write(request);
  await Bun.sleep(ms / 2);
  const before = done;
  const startMs = performance.now();
  await Bun.sleep(ms);
  const rate = (done - before) / ((performance.now() - startMs) / 1000);
  for (const socket of connections) socket.terminate();
  if (failure !== undefined) throw failure;
  return rate;
}
