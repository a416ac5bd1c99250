import { UserError } from "../../shared/errors.ts";
import type { Command } from "./command.ts";
import { controlCommands } from "./commands/control.ts";
import { costCommands } from "./commands/cost.ts";
import { domainCommands } from "./commands/domains.ts";
import { installerCommands } from "./commands/installer.ts";
import { memberCommands } from "./commands/members.ts";
import { keyCommands } from "./commands/keys.ts";
import { platformCommands } from "./commands/platform.ts";
import { pointCommands } from "./commands/points.ts";
import { tenantCommands } from "./commands/tenants.ts";
import { transferCommands } from "./commands/transfer.ts";
import { workerCommands } from "./commands/workers.ts";

export const COMMANDS: readonly Command[] = [
  ...tenantCommands,
  ...installerCommands,
  ...transferCommands,
  ...pointCommands,
  ...domainCommands,
  ...workerCommands,
  ...memberCommands,
  ...keyCommands,
  ...platformCommands,
  ...controlCommands,
  ...costCommands,
];

/** @throws UserError `invalid_option` for words that are no command */
export function findCommand(positionals: readonly string[]): { command: Command; args: string[] } {
  const length = ({ words }: Command): number => words.split(" ").length;
  const command = COMMANDS.find((one) => one.words === positionals.slice(0, length(one)).join(" "));
  if (command === undefined) {
    throw new UserError("invalid_option", `Cannot run "${positionals.join(" ")}": no such command`, {
      hint: `Commands: ${COMMANDS.map(({ words }) => words).join(", ")}. Try --help.`,
    });
  }
  return { command, args: positionals.slice(length(command)) };
}
