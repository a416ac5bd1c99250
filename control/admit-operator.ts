import { UserError } from "../shared/errors.ts";
import { OPERATOR_SCOPES } from "../shared/protocol/cp.ts";
import { sha256Hex } from "../shared/protocol/mac.ts";
import { type AddToken, addFirstToken, addToken } from "./domain/operator-tokens.ts";
import { OPERATOR_TOKEN, newOperatorToken } from "./domain/token-text.ts";
import { readOrCreatePrivate } from "./private-files.ts";
import type { Control } from "./service.ts";

export interface OperatorSource {
  /** MANYBASE_OPERATOR_TOKEN */
  token?: string;
  file?: string;
}

/**
 * Sees to it that an operator can get in: the given token is made valid, or a first one is made when there was never any.
 *
 * @returns the token if it was made here and nobody else knows it: to be shown once
 * @throws UserError `invalid_option` when what was given is no token
 */
export async function admitOperator(control: Control, source: OperatorSource): Promise<string | undefined> {
  const fresh = (): string => newOperatorToken(control.randomBytes);
  const given: [string, string] | undefined =
    source.token !== undefined
      ? [source.token, "MANYBASE_OPERATOR_TOKEN"]
      : source.file !== undefined
        ? [readOrCreatePrivate(source.file, fresh), source.file]
        : undefined;
  if (given !== undefined) {
    const [token, where] = given;
    if (!OPERATOR_TOKEN.test(token)) {
      throw new UserError("invalid_option", `Cannot use the operator token of ${where}: it is not one`, {
        hint: "A token is mbo_ and 40 letters and digits.",
      });
    }
    const command = newToken(control, token, "given at start");
    await control.runner.run((view) => addToken(view, command));
    return undefined;
  }
  const token = fresh();
  const command = newToken(control, token, "first");
  const added = await control.runner.run((view) => addFirstToken(view, command));
  return added ? token : undefined;
}

function newToken(control: Control, token: string, name: string): AddToken {
  const meta = control.runner.meta("control");
  return { meta, sha256: sha256Hex(token), name, scopes: [...OPERATOR_SCOPES] };
}
