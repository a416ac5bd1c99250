import { toLatin1 } from "../http1/head.ts";
import type { Outgoing } from "../http1/outgoing.ts";
import type { Answer } from "../proxy/answer.ts";
import { type Lines, lengthLine, linesOf } from "../proxy/lines.ts";

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
 * Puts the head together. Its framing is made here and only here: what the worker said of it holds only where there is no body
 * (HEAD, 304), or as the length of a stream.
 */
export function putAnswerHead(out: Outgoing, answer: Answer, framing: Framing, keep: boolean): Outgoing {
  const { status } = answer;
  const lines = linesOf(answer.fields);
  out.put(STATUS_LINES.get(status) ?? toLatin1(statusLine(status)));
  out.put(lines.bytes);
  answer.putLines(out);
  putFraming(out, answer, lines, framing);
  if (!lines.dated) out.put(dateLine());
  if (status === 101) out.text("connection: Upgrade\r\nupgrade: websocket\r\n");
  else if (!keep) out.text("connection: close\r\n");
  out.put(LINE_END);
  return out;
}

function putFraming(out: Outgoing, { status, body }: Answer, lines: Lines, framing: Framing): void {
  if (framing === "chunked") out.text("transfer-encoding: chunked\r\n");
  else if (framing === "length") {
    const bytes = body instanceof Uint8Array ? body.length : body === null ? 0 : (lines.declared ?? 0);
    if (bytes === lines.declared) out.put(lines.length);
    else out.text(lengthLine(bytes));
  } else if (framing === "none" && status >= 200 && status !== 204) out.put(lines.length);
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
const STATUS_LINES: ReadonlyMap<number, Uint8Array> = new Map(
  REASONS.map(([status, reason]) => [status, toLatin1(statusLine(status, reason))]),
);
const LINE_END = toLatin1("\r\n");

let date = { second: 0, line: LINE_END };

function dateLine(): Uint8Array {
  const second = Math.floor(Date.now() / 1000);
  if (second !== date.second) {
    date = { second, line: toLatin1(`date: ${new Date(second * 1000).toUTCString()}\r\n`) };
  }
  return date.line;
}
