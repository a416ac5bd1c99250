import { UserError } from "./errors.ts";

/** One option of a command: `--name value` (or `--name` alone for a switch), or the environment variable, or the default. */
export interface OptionSpec {
  /** What follows the flag in the help, e.g. `<url>`; absent for a switch. */
  value?: string;
  env?: string;
  default?: string;
  help: string;
}

export type OptionSpecs = Record<string, OptionSpec>;

/** Values of options: a switch is "true" or absent. */
export type OptionValues<Specs extends OptionSpecs> = { [Name in keyof Specs]?: string };

export interface ParsedArguments<Specs extends OptionSpecs> {
  values: OptionValues<Specs>;
  /** What is not an option, in order. */
  positionals: string[];
  /** `--help` or `-h` was given. */
  help: boolean;
}

/**
 * Reads `--name value`, `--name=value` and switches; the command line wins over the environment, which wins over defaults.
 *
 * @throws UserError `invalid_option` for an unknown option or a missing value
 */
export function parseOptions<Specs extends OptionSpecs>(
  specs: Specs,
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): ParsedArguments<Specs> {
  const values: Record<string, string> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const found = (spec.env === undefined ? undefined : environment[spec.env]) || spec.default;
    if (found !== undefined) values[name] = found;
  }
  const positionals: string[] = [];
  let help = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (arg === "--help" || arg === "-h") {
      help = true;
    } else if (arg.startsWith("--")) {
      const equals = arg.indexOf("=");
      const name = equals < 0 ? arg.slice(2) : arg.slice(2, equals);
      const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
      if (spec === undefined)
        throw new UserError("invalid_option", `Cannot read --${name}: no such option`, {
          hint: "Try --help.",
        });
      if (spec.value === undefined) {
        values[name] = equals < 0 ? "true" : arg.slice(equals + 1);
      } else {
        const value = equals < 0 ? args[++i] : arg.slice(equals + 1);
        if (value === undefined || (equals < 0 && value.startsWith("--"))) {
          throw new UserError("invalid_option", `Cannot read --${name}: it needs ${spec.value}`, {
            hint: "Try --help.",
          });
        }
        values[name] = value;
      }
    } else {
      positionals.push(arg);
    }
  }
  return { values, positionals, help };
}

/** The help of a command: usage, a sentence, one line per option with its variable and default. */
export function helpText(usage: string, about: string, specs: OptionSpecs): string {
  const rows = Object.entries(specs).map(([name, spec]): [string, string] => [
    `  --${name}${spec.value === undefined ? "" : ` ${spec.value}`}`,
    [
      spec.help,
      spec.env === undefined ? "" : `[${spec.env}]`,
      spec.default === undefined ? "" : `(default ${spec.default})`,
    ]
      .filter((part) => part !== "")
      .join(" "),
  ]);
  const width = Math.max(...rows.map(([flag]) => flag.length), "  --help".length) + 2;
  const lines = [...rows, ["  --help", "Show this."] as const].map(
    ([flag, text]) => flag.padEnd(width) + text,
  );
  return `${about}\n\nUsage: ${usage}\n\nOptions:\n${lines.join("\n")}\n`;
}

/**
 * `host:port`, `:port` or `port`; port 0 asks for any free one.
 *
 * @throws UserError `invalid_option`
 */
export function parseListen(text: string, name: string): { hostname: string; port: number } {
  const match = /^(?:(\[[0-9a-f:]+\]|[^:]*):)?([0-9]{1,5})$/i.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) {
    throw new UserError("invalid_option", `Cannot read ${name}: ${JSON.stringify(text)} is not host:port`);
  }
  return { hostname: match[1] || "127.0.0.1", port };
}
