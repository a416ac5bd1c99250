import { join } from "node:path";
import { UserError } from "../shared/errors.ts";
import { type ParsedArguments, helpText, parseListen, parseOptions } from "../shared/options.ts";

export const OPTIONS = {
  listen: {
    value: "<host:port>",
    env: "MANYBASE_CONTROL_LISTEN",
    default: "127.0.0.1:7400",
    help: "Where rooms and the operators' API are served; port 0 takes a free one.",
  },
  data: {
    value: "<dir>",
    env: "MANYBASE_DATA",
    default: "./data",
    help: "State is kept in <dir>/control, keys in <dir>/keys.",
  },
  store: {
    value: "<url>",
    env: "MANYBASE_STORE",
    help: "Object store: file:<dir> or s3://bucket/prefix?endpoint=… (default file:<data>/store).",
  },
  domain: {
    value: "<name>",
    env: "MANYBASE_DOMAIN",
    default: "localhost",
    help: "Tenants are <slug>.<name>.",
  },
  "operator-token-file": {
    value: "<file>",
    env: "MANYBASE_OPERATOR_TOKEN_FILE",
    help: "Its token is made valid; the file is made with a new one when missing.",
  },
};

/** Variables that have no flag, because a command line is visible to everyone on the machine. */
const SECRETS = `Secrets (environment only):
  MANYBASE_MEMBER_KEY      Key of control and workers, id:secret (default: the file <data>/keys/member.key, made when missing).
  MANYBASE_GATEWAY_KEY     Key of gateways, id:secret (default: the file <data>/keys/gateway.key, made when missing).
  MANYBASE_OPERATOR_TOKEN  Made valid at start. Without it, and without a token file, a first token is made and printed once.
  MANYBASE_LOG_LEVEL       trace, debug, info, warn, error, silent (default info).
`;

export interface ControlOptions {
  listen: { hostname: string; port: number };
  data: string;
  store: string;
  domain: string;
  operatorTokenFile?: string;
}

/** @returns "help" when that was asked for. @throws UserError `invalid_option` */
export function readControlOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): ControlOptions | "help" {
  const { values, help, positionals }: ParsedArguments<typeof OPTIONS> = parseOptions(
    OPTIONS,
    args,
    environment,
  );
  if (help) return "help";
  if (positionals[0] !== undefined) {
    throw new UserError("invalid_option", `Cannot read ${positionals[0]}: control takes options only`, {
      hint: "Try --help.",
    });
  }
  const data = values.data ?? OPTIONS.data.default;
  const tokenFile = values["operator-token-file"];
  return {
    listen: parseListen(values.listen ?? "", "--listen"),
    data,
    store: values.store ?? `file:${join(data, "store")}`,
    domain: values.domain ?? OPTIONS.domain.default,
    ...(tokenFile === undefined ? {} : { operatorTokenFile: tokenFile }),
  };
}

export function controlHelp(): string {
  const text = helpText(
    "bun run control [options]",
    "Owns tenants, workers and routes: who serves what.",
    OPTIONS,
  );
  return `${text}\n${SECRETS}`;
}
