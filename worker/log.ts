import { pino } from "pino";

/** Structured log lines on stderr; stdout is for what a person asked for. Never log a header, a body, a key or a token. */
export function createLog(part: string) {
  return pino(
    { base: { part }, level: process.env["MANYBASE_LOG_LEVEL"] ?? "info" },
    pino.destination({ dest: 2, sync: true }),
  );
}
export type Log = ReturnType<typeof createLog>;
