import { UserError } from "../../shared/errors.ts";
import { pathOf } from "../host.ts";
import type { Exchange } from "../proxy/exchange.ts";
import type { Incoming } from "../proxy/incoming.ts";

/** Told of every request when its answer's head is ready. */
export type Observer = (exchange: Exchange, request: Incoming, status: number) => void;

export const ACCESS_LOG_LEVELS = ["off", "errors", "all"] as const;
export type AccessLogLevel = (typeof ACCESS_LOG_LEVELS)[number];

/** @throws UserError `invalid_option` */
export function parseAccessLogLevel(text: string | undefined): AccessLogLevel {
  const level = ACCESS_LOG_LEVELS.find((name) => name === text);
  if (level === undefined) {
    throw new UserError("invalid_option", `Cannot read --access-log: ${JSON.stringify(text)} is no level`, {
      hint: `Levels are ${ACCESS_LOG_LEVELS.join(", ")}.`,
    });
  }
  return level;
}

/**
 * One JSON object a line: what came, whose it was, what became of it. Queries, headers and bodies are not in it: they hold secrets.
 * Times are milliseconds until the answer's head; a stream goes on after it.
 */
export function accessLog(level: AccessLogLevel, write: (line: string) => void): Observer | undefined {
  if (level === "off") return undefined;
  return (exchange, request, status) => {
    if (level === "errors" && status < 500) return;
    write(
      JSON.stringify({
        part: "gateway",
        kind: "access",
        time: Date.now(),
        requestId: exchange.requestId,
        trace: exchange.traceparent.split("-")[1],
        client: exchange.client.address,
        method: request.method,
        host: request.headers.get("host"),
        path: pathOf(request).pathname,
        status,
        ms: rounded(performance.now() - exchange.startedMs),
        ...(exchange.tenant === undefined ? {} : { tenant: exchange.tenant }),
        ...(exchange.incarnation === undefined ? {} : { worker: exchange.incarnation }),
        ...(exchange.upstreamMs === undefined ? {} : { upstreamMs: rounded(exchange.upstreamMs) }),
        ...(exchange.heldMs === 0 ? {} : { heldMs: rounded(exchange.heldMs) }),
        ...(exchange.retries === 0 ? {} : { retries: exchange.retries }),
      }),
    );
  };
}

const rounded = (ms: number): number => Math.round(ms * 100) / 100;
