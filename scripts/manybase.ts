import { SystemError, UserError } from "../shared/errors.ts";
import { helpText, parseOptions } from "../shared/options.ts";
import { openApi } from "./manybase/api.ts";
import { COMMANDS, findCommand } from "./manybase/commands.ts";

const OPTIONS = {
  control: {
    value: "<url>",
    env: "MANYBASE_CONTROL",
    help: "The admin host, e.g. https://admin.example.com.",
  },
  token: { value: "<token>", env: "MANYBASE_TOKEN", help: "An operator token." },
  data: {
    value: "<dir>",
    env: "MANYBASE_DATA",
    default: "./data",
    help: "Where a local all-in-one keeps both, when they are not given.",
  },
  durability: {
    value: "<durable|async>",
    help: "tenants create, update: when a write is acknowledged (default durable).",
  },
  search: { value: "<text>", help: "tenants list: only slugs that contain it." },
  slug: { value: "<slug>", help: "tenants update: its new name." },
  "retain-seconds": { value: "<n>", help: "tenants delete: how long it can be recovered." },
  force: { help: "workers remove: also one that serves." },
  wait: { help: "workers drain: until it is empty." },
  scopes: { value: "<list>", help: "tokens create: read, write, tenant-admin (default read)." },
  subject: { value: "<id>", help: "platform audit: only of this tenant, worker or token." },
  action: { value: "<name>", help: "platform audit: only this action, e.g. tenant.move." },
  limit: { value: "<n>", help: "platform audit: entries to show (default 50)." },
  before: { value: "<id>", help: "platform audit: only older entries." },
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
  const result = await command.run(openApi(values), args, values);
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
