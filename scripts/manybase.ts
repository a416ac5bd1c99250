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
    help: "tenants create: when a write is acknowledged (default durable).",
  },
  search: { value: "<text>", help: "tenants list: only slugs that contain it." },
  json: { help: "Print JSON for machines." },
};

try {
  const { values, positionals, help } = parseOptions(OPTIONS, process.argv.slice(2), process.env);
  if (help || positionals.length === 0) {
    const usage = `bun run manybase <command> [options]\n\nCommands:\n${COMMANDS.map((c) => `  ${c.usage.padEnd(50)} ${c.about}`).join("\n")}`;
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
      `${JSON.stringify({ error: { code: known ? error.code : "internal", message } })}\n`,
    );
  } else {
    process.stderr.write(`${message}\n${known && error.hint !== undefined ? `${error.hint}\n` : ""}`);
  }
  process.exit(1);
}
