import { SystemError, UserError } from "../shared/errors.ts";
import { helpText, parseOptions } from "../shared/options.ts";
import { openApi, openLater } from "./manybase/api.ts";
import { COMMANDS, findCommand } from "./manybase/commands.ts";

const OPTIONS = {
  control: {
    value: "<url>",
    env: "MANYBASE_CONTROL",
    help: "The admin host, e.g. https://admin.example.com, or control's own addresses, separated by commas.",
  },
  token: { value: "<token>", env: "MANYBASE_TOKEN", help: "An operator token." },
  data: {
    value: "<dir>",
    env: "MANYBASE_DATA",
    help: "Where a local all-in-one keeps both, when they are not given (default ./data). control restore: the new directory.",
  },
  durability: {
    value: "<durable|async>",
    help: "tenants create, update: when a write is acknowledged (default durable).",
  },
  region: {
    value: "<name>",
    help: "tenants create, update: where it is placed when a worker there has room; none: anywhere.",
  },
  class: {
    value: "<class>",
    help: "tenants archive: STANDARD_IA, GLACIER_IR, GLACIER or DEEP_ARCHIVE (default: control's --archive-class).",
  },
  encrypted: {
    help: "tenants create: at rest, in object storage; --encrypted=false where control's default is yes.",
  },
  store: {
    value: "<url>",
    env: "MANYBASE_STORE",
    help: "keys: the object store (default file:<data>/store).",
  },
  keys: {
    value: "<list>",
    env: "MANYBASE_KEYS",
    help: "keys: local:<file> or kms:<key arn>, separated by commas (default local:<data>/keys/tenant.keys).",
  },
  search: { value: "<text>", help: "tenants list: only slugs that contain it." },
  slug: { value: "<slug>", help: "tenants update: its new name." },
  "requests-per-second": {
    value: "<n|default>",
    help: "tenants update: what gateways let through; default: as the gateway has it.",
  },
  "concurrent-requests": {
    value: "<n|default>",
    help: "tenants update: requests at its worker at a time, at each gateway.",
  },
  "body-bytes": { value: "<n|default>", help: "tenants update: the largest request body." },
  "retain-seconds": { value: "<n>", help: "tenants delete: how long it can be recovered." },
  force: { help: "workers remove: also one that serves." },
  "reset-mfa": {
    help: "tenants superuser: forget its authenticator, backup codes and passkeys, all of which it has lost.",
  },
  logs: { help: "tenants export, restore: the request logs, too." },
  at: {
    value: "<time|txid>",
    help: "tenants restore, branch: the state to begin with (branch: default now).",
  },
  as: {
    value: "<slug>",
    help: "tenants restore: as a new tenant, a branch; the tenant itself stays as it is.",
  },
  layout: {
    value: "<layout>",
    help: "tenants export: pocketbase (default), litestream or litestream-v0.3.",
  },
  storage: {
    value: "<dir|size>",
    help: "tenants import: where the uploads are (default: storage/ in it); create, update: the quota, e.g. 10GiB, or none.",
  },
  generation: { value: "<name>", help: "tenants import: of a Litestream 0.3 replica (default: the newest)." },
  wait: { help: "workers drain: until it is empty." },
  scopes: { value: "<list>", help: "tokens create: read, write, tenant-admin (default read)." },
  subject: { value: "<id>", help: "platform audit: only of this tenant, worker or token." },
  action: { value: "<name>", help: "platform audit: only this action, e.g. tenant.move." },
  limit: { value: "<n>", help: "platform audit: entries to show (default 50)." },
  before: { value: "<id>", help: "platform audit: only older entries." },
  tenants: { value: "<n>", help: "cost: of the whole platform (default 100000)." },
  active: { value: "<percent>", help: "cost: how many of them are written to (default 20)." },
  "writes-per-second": { value: "<n>", help: "cost: of all tenants together (default 1000)." },
  "bytes-per-write": { value: "<n>", help: "cost: compressed, in the log (default 1400)." },
  "db-mib": { value: "<n>", help: "cost: one tenant's database, compressed (default 5)." },
  workers: { value: "<n>", help: "cost: how many logs there are (default 10)." },
  "put-ms": { value: "<n>", help: "cost: how long the store takes for a PUT (default 35)." },
  "counted-reads-per-second": {
    value: "<n>",
    help: "cost: requests that change rate limit counters and nothing else (default 0).",
  },
  "loads-per-day": { value: "<n>", help: "cost: tenants that come back (default: each active one once)." },
  price: {
    value: "<name>",
    help: "cost: s3 (default), r2, tigris, or $ per million PUT, per million GET and per GB-month: 5,0.4,0.023.",
  },
  from: {
    value: "<key|none>",
    help: "control restore: this snapshot instead of the newest readable one; none: without.",
  },
  etcd: { value: "<urls>", help: "control restore: into this etcd instead of a directory." },
  "accept-loss": {
    help: "control restore: give up what lies beyond missing objects, and tell what that is.",
  },
  "member-id": { value: "<id>", help: "control restore: the name of the first replica (default 1)." },
  json: { help: "Print JSON for machines." },
};

try {
  const { values, positionals, help } = parseOptions(OPTIONS, process.argv.slice(2), process.env);
  if (help || positionals.length === 0) {
    const usage = `bun run manybase <command> [options]\n\nCommands:\n${COMMANDS.map((c) => `  ${c.usage.padEnd(74)} ${c.about}`).join("\n")}`;
    process.stdout.write(helpText(usage, "Manages a Manybase platform.", OPTIONS));
    process.exit(help ? 0 : 2);
  }
  const { command, args } = findCommand(positionals);
  const result = await command.run(
    openLater(() => openApi(values)),
    args,
    values,
  );
  process.stdout.write(values.json === undefined ? `${result.text}\n` : `${JSON.stringify(result.value)}\n`);
} catch (error) {
  const known = error instanceof UserError || error instanceof SystemError;
  const message = known
    ? error.message
    : `Cannot do this: ${error instanceof Error ? error.message : String(error)}`;
  if (process.argv.includes("--json")) {
    process.stderr.write(
      `${JSON.stringify({ error: { code: known ? error.code : "internal", message, ...(known ? { details: error.details } : {}) } })}\n`,
    );
  } else {
    process.stderr.write(`${message}\n${known && error.hint !== undefined ? `${error.hint}\n` : ""}`);
  }
  process.exit(1);
}
