import type { Answer } from "../proxy/answer.ts";

/** How an answer's body goes out. */
export type Framing = "none" | "length" | "chunked" | "close";

/** What of the request its answer's framing depends on. */
export interface Asked {
  method: string;
  modern: boolean;
}

/** How many bytes the answer says that its stream has. */
export function declaredLength({ fields }: Answer): number | undefined {
  for (const field of fields) {
    if (field[0] === "content-length" && /^[0-9]{1,15}$/.test(field[1])) return Number(field[1]);
  }
  return undefined;
}

export function framingFor({ status, body }: Answer, declared: number | undefined, asked: Asked): Framing {
  if (asked.method === "HEAD" || status < 200 || status === 204 || status === 304) return "none";
  if (!(body instanceof ReadableStream) || declared !== undefined) return "length";
  return asked.modern ? "chunked" : "close";
}

/**
 * The head as text. Its framing is made here and only here: what the worker said of it holds only where there is no body
 * (HEAD, 304), or as the length of a stream.
 */
export function answerHead(
  answer: Answer,
  framing: Framing,
  declared: number | undefined,
  keep: boolean,
): string {
  const { status, fields, body } = answer;
  let text = STATUS_LINES.get(status) ?? statusLine(status);
  let dated = false;
  for (const field of fields) {
    const name = field[0];
    if (name === "content-length") continue;
    if (name === "date") dated = true;
    text += `${name}: ${field[1]}\r\n`;
  }
  if (framing === "length") {
    text += `content-length: ${body instanceof Uint8Array ? body.length : body === null ? 0 : (declared ?? 0)}\r\n`;
  } else if (framing === "chunked") {
    text += "transfer-encoding: chunked\r\n";
  } else if (framing === "none" && declared !== undefined && status >= 200 && status !== 204) {
    text += `content-length: ${declared}\r\n`;
  }
  if (!dated) text += `date: ${dateNow()}\r\n`;
  if (status === 101) text += "connection: Upgrade\r\nupgrade: websocket\r\n";
  else if (!keep) text += "connection: close\r\n";
  return `${text}\r\n`;
}

const REASONS: readonly [status: number, reason: string][] = [
  [101, "Switching Protocols"],
  [200, "OK"],
  [201, "Created"],
  [202, "Accepted"],
  [204, "No Content"],
  [206, "Partial Content"],
  [301, "Moved Permanently"],
  [302, "Found"],
  [303, "See Other"],
  [304, "Not Modified"],
  [307, "Temporary Redirect"],
  [308, "Permanent Redirect"],
  [400, "Bad Request"],
  [401, "Unauthorized"],
  [402, "Payment Required"],
  [403, "Forbidden"],
  [404, "Not Found"],
  [405, "Method Not Allowed"],
  [408, "Request Timeout"],
  [409, "Conflict"],
  [410, "Gone"],
  [413, "Content Too Large"],
  [416, "Range Not Satisfiable"],
  [422, "Unprocessable Content"],
  [429, "Too Many Requests"],
  [500, "Internal Server Error"],
  [502, "Bad Gateway"],
  [503, "Service Unavailable"],
  [507, "Insufficient Storage"],
];

/** RFC 9112 §4: a reason may be empty, the space before it may not. */
const statusLine = (status: number, reason = ""): string => `HTTP/1.1 ${status} ${reason}\r\n`;
const STATUS_LINES: ReadonlyMap<number, string> = new Map(
  REASONS.map(([status, reason]) => [status, statusLine(status, reason)]),
);

let date = { second: 0, text: "" };

function dateNow(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== date.second) date = { second, text: new Date(second * 1000).toUTCString() };
  return date.text;
}
