import type { Answer } from "../proxy/answer.ts";
import { linesOf } from "../proxy/lines.ts";

/** How an answer's body goes out. */
export type Framing = "none" | "length" | "chunked" | "close";

/** What of the request its answer's framing depends on. */
export interface Asked {
  method: string;
  modern: boolean;
}

/** How many bytes the answer says that its stream has. */
export function declaredLength({ fields }: Answer): number | undefined {
  return linesOf(fields).declared;
}

export function framingFor(answer: Answer, asked: Asked): Framing {
  const { status, body } = answer;
  if (asked.method === "HEAD" || status < 200 || status === 204 || status === 304) return "none";
  if (!(body instanceof ReadableStream) || declaredLength(answer) !== undefined) return "length";
  return asked.modern ? "chunked" : "close";
}

/**
 * The head as text. Its framing is made here and only here: what the worker said of it holds only where there is no body
 * (HEAD, 304), or as the length of a stream.
 */
export function answerHead(answer: Answer, framing: Framing, keep: boolean): string {
  const { status, fields, lines, body } = answer;
  const { text, declared, dated } = linesOf(fields);
  const head = `${STATUS_LINES.get(status) ?? statusLine(status)}${text}${lines}`;
  const length = framingLine(status, framing, body, declared);
  const date = dated ? "" : `date: ${dateNow()}\r\n`;
  const connection =
    status === 101 ? "connection: Upgrade\r\nupgrade: websocket\r\n" : keep ? "" : "connection: close\r\n";
  return `${head}${length}${date}${connection}\r\n`;
}

function framingLine(
  status: number,
  framing: Framing,
  body: Answer["body"],
  declared: number | undefined,
): string {
  if (framing === "chunked") return "transfer-encoding: chunked\r\n";
  if (framing === "close") return "";
  if (framing === "length") {
    const bytes = body instanceof Uint8Array ? body.length : body === null ? 0 : (declared ?? 0);
    return `content-length: ${bytes}\r\n`;
  }
  return declared === undefined || status < 200 || status === 204 ? "" : `content-length: ${declared}\r\n`;
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
