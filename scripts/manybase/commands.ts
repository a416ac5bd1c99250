import { UserError } from "../../shared/errors.ts";
import type { Command } from "./command.ts";
import { platformCommands } from "./commands/platform.ts";
import { tenantCommands } from "./commands/tenants.ts";
import { workerCommands } from "./commands/workers.ts";

export const COMMANDS: readonly Command[] = [...tenantCommands, ...workerCommands, ...platformCommands];

/** @throws UserError `invalid_option` for words that are no command */
export function findCommand(positionals: readonly string[]): { command: Command; args: string[] } {
  const command = COMMANDS.find(({ words }) => words === positionals.slice(0, 2).join(" "));
  if (command === undefined) {
    throw new UserError("invalid_option", `Cannot run "${positionals.join(" ")}": no such command`, {
      hint: `Commands: ${COMMANDS.map(({ words }) => words).join(", ")}. Try --help.`,
    });
  }
  return { command, args: positionals.slice(2) };
}
