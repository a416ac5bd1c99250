import { type Logger, pino } from "pino";

/** JSON lines on stderr; stdout is for what a person asked for. Never log a header, a body, a key or a token. */
export function createLog(): Logger {
  const serialize = pino.stdSerializers.err;
  return pino(
    {
      base: { part: "control" },
      level: process.env["MANYBASE_LOG_LEVEL"] ?? "info",
      serializers: { error: serialize, cause: serialize },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
