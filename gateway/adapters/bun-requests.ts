import { limits } from "../../shared/limits.ts";

const VARIABLE = "BUN_CONFIG_MAX_HTTP_REQUESTS";

/**
 * Bun's fetch has 256 requests open at a time unless its environment says otherwise when the process starts, and an event stream is a request:
 * the process becomes itself again with that set. Pid, pipes and arguments stay.
 */
export function allowManyRequests(): void {
  if (process.env[VARIABLE] !== undefined || process.execve === undefined) return;
  process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    ...process.env,
    [VARIABLE]: String(limits.upstreamRequestsMax),
  });
}
