import { UserError } from "../../shared/errors.ts";
import type { Api } from "./api.ts";

export interface CommandResult {
  /** For people. */
  text: string;
  /** For machines: what `--json` prints. */
  value: unknown;
}

/** Options of the tool, as text; a command takes what it knows. */
export interface CommandOptions {
  durability?: string;
  from?: string;
  "member-id"?: string;
  encrypted?: string;
  store?: string;
  keys?: string;
  data?: string;
  region?: string;
  class?: string;
  search?: string;
  slug?: string;
  "requests-per-second"?: string;
  "concurrent-requests"?: string;
  "body-bytes"?: string;
  scopes?: string;
  limit?: string;
  before?: string;
  subject?: string;
  action?: string;
  "retain-seconds"?: string;
  force?: string;
  "reset-mfa"?: string;
  "accept-loss"?: string;
  etcd?: string;
  wait?: string;
  logs?: string;
  at?: string;
  as?: string;
  layout?: string;
  storage?: string; // a directory (import) or a size
  generation?: string;
  tenants?: string;
  active?: string;
  "writes-per-second"?: string;
  "bytes-per-write"?: string;
  "db-mib"?: string;
  workers?: string;
  "put-ms"?: string;
  "counted-reads-per-second"?: string;
  "loads-per-day"?: string;
  price?: string;
}

export interface Command {
  words: string;
  usage: string;
  about: string;
  run(api: Api, args: string[], options: CommandOptions): Promise<CommandResult>;
}

/** @throws UserError `invalid_option` for another number of words */
export function words(args: readonly string[], counts: number | readonly number[], usage: string): string[] {
  const allowed = typeof counts === "number" ? [counts] : counts;
  if (!allowed.includes(args.length)) {
    throw new UserError(
      "invalid_option",
      `Cannot run this: expected ${allowed.join(" or ")} words, got ${args.length}`,
      { hint: `Usage: manybase ${usage}` },
    );
  }
  return [...args];
}

/** What is given of these, as a query string with its question mark, or nothing. */
export function query(values: Record<string, string | undefined>): string {
  const given = Object.entries(values).filter((one): one is [string, string] => one[1] !== undefined);
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}
