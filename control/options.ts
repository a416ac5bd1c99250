import { join } from "node:path";
import { UserError } from "../shared/errors.ts";
import { limits } from "../shared/limits.ts";
import { ARCHIVE_CLASSES } from "../shared/protocol/cp.ts";
import { type ParsedArguments, helpText, parseListen, parseOptions } from "../shared/options.ts";
import { parseStorage } from "../shared/storage-size.ts";
import { ENGINE_OPTIONS, type EngineOptions, readEngineOptions } from "./engine-options.ts";
import type { ControlSettings } from "./service.ts";

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
  "idle-after": {
    value: "<seconds>",
    env: "MANYBASE_IDLE_AFTER",
    default: String(limits.tenantIdleMsDefault / 1000),
    help: "A tenant without a request for this long is idle.",
  },
  "evict-after": {
    value: "<seconds>",
    env: "MANYBASE_EVICT_AFTER",
    default: String(limits.tenantEvictMsDefault / 1000),
    help: "A tenant without a request for this long leaves its worker until the next one; 0: never.",
  },
  "retain-deleted": {
    value: "<seconds>",
    env: "MANYBASE_RETAIN_DELETED",
    default: String(limits.tenantRetainMsDefault / 1000),
    help: "How long a deleted tenant can be recovered, if its deletion does not say otherwise.",
  },
  "archive-class": {
    value: "<class>",
    env: "MANYBASE_ARCHIVE_CLASS",
    default: "GLACIER_IR",
    help: `Where the objects of archived tenants go: ${ARCHIVE_CLASSES.join(", ")}.`,
  },
  "thaw-on-request": {
    value: "<on|off>",
    env: "MANYBASE_THAW_ON_REQUEST",
    default: "on",
    help: "Whether the first request to an archived tenant starts its thaw; off: only an operator does.",
  },
  "rebalance-moves": {
    value: "<per minute>",
    env: "MANYBASE_REBALANCE_MOVES",
    default: String(limits.rebalanceMovesPerMinuteDefault),
    help: "How many tenants may move each minute to even workers out; 0: none.",
  },
  "encrypt-tenants": {
    env: "MANYBASE_ENCRYPT_TENANTS",
    help: "New tenants are encrypted at rest, unless their creation says otherwise; workers need --keys.",
  },
  "storage-quota": {
    value: "<size|none>",
    env: "MANYBASE_STORAGE_QUOTA",
    default: "none",
    help: "Of new tenants, databases and uploads together, e.g. 10GiB, unless their creation says otherwise.",
  },
  "scale-webhook": {
    value: "<url>",
    env: "MANYBASE_SCALE_WEBHOOK",
    help: "Told by POST when another number of workers is wanted.",
  },
  dns: {
    value: "<address,…>",
    env: "MANYBASE_DNS",
    help: "DNS servers asked about custom domains, address or address:port (default: the machine's).",
  },
  ...ENGINE_OPTIONS,
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
  MANYBASE_SCALE_WEBHOOK_TOKEN  Sent to the webhook as a bearer token.
  MANYBASE_LOG_LEVEL       trace, debug, info, warn, error, silent (default info).
`;

export interface ControlOptions {
  listen: { hostname: string; port: number };
  data: string;
  store: string;
  domain: string;
  operatorTokenFile?: string;
  /** Empty: those of the machine. */
  dns: string[];
  engine: EngineOptions;
  settings: ControlSettings;
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
    dns: (values.dns ?? "").split(",").flatMap((server) => server.trim() || []),
    engine: readEngineOptions(values),
    settings: readSettings(values, environment["MANYBASE_SCALE_WEBHOOK_TOKEN"]),
  };
}

function readSettings(
  values: ParsedArguments<typeof OPTIONS>["values"],
  webhookToken: string | undefined,
): ControlSettings {
  const seconds = (name: "idle-after" | "evict-after" | "retain-deleted", max: number): number =>
    parseNumber(values[name], `--${name}`, max / 1000) * 1000;
  const webhook = values["scale-webhook"];
  if (webhook !== undefined && !/^https?:$/.test(URL.parse(webhook)?.protocol ?? "")) {
    throw new UserError(
      "invalid_option",
      `Cannot read --scale-webhook: ${JSON.stringify(webhook)} is no URL`,
    );
  }
  const token = webhookToken === undefined || webhookToken === "" ? {} : { token: webhookToken };
  const quota = parseStorage(values["storage-quota"] ?? "none", "--storage-quota");
  const idleMs = seconds("idle-after", limits.tenantRetainMsMax);
  return {
    // A tenant in use is never idle.
    idleMs: Math.max(idleMs, limits.lifeSweepMsMin),
    evictMs: seconds("evict-after", limits.tenantRetainMsMax),
    retainMs: seconds("retain-deleted", limits.tenantRetainMsMax),
    archiveClass: parseClass(values["archive-class"]),
    thawOnRequest: parseSwitch(values["thaw-on-request"], "--thaw-on-request"),
    rebalanceMovesPerMinute: parseNumber(values["rebalance-moves"], "--rebalance-moves", 100_000),
    encryptTenants: values["encrypt-tenants"] !== undefined && values["encrypt-tenants"] !== "false",
    ...(quota === null ? {} : { storageBytesMax: quota }),
    ...(webhook === undefined ? {} : { scaleWebhook: { url: webhook, ...token } }),
  };
}

function parseNumber(text: string | undefined, name: string, max: number): number {
  const value = Number(text);
  if (text === undefined || !/^\d+(\.\d+)?$/.test(text) || value > max) {
    throw new UserError(
      "invalid_option",
      `Cannot read ${name}: ${JSON.stringify(text)} is not a number from 0 to ${max}`,
    );
  }
  return value;
}

function parseSwitch(text: string | undefined, name: string): boolean {
  if (text === "on" || text === "off") return text === "on";
  throw new UserError("invalid_option", `Cannot read ${name}: ${JSON.stringify(text)} is neither on nor off`);
}

function parseClass(text: string | undefined): (typeof ARCHIVE_CLASSES)[number] {
  const known = ARCHIVE_CLASSES.find((name) => name === text);
  if (known !== undefined) return known;
  throw new UserError(
    "invalid_option",
    `Cannot read --archive-class: ${JSON.stringify(text)} is no cold class`,
    {
      hint: `Use one of ${ARCHIVE_CLASSES.join(", ")}.`,
    },
  );
}

export function controlHelp(): string {
  const text = helpText(
    "bun run control [options]",
    "Owns tenants, workers and routes: who serves what.",
    OPTIONS,
  );
  return `${text}\n${SECRETS}`;
}
