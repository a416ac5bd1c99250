import { join } from "node:path";
import { type Keyring, parseKeyring } from "../shared/protocol/keys.ts";
import { base64Url } from "../shared/protocol/mac.ts";
import { readOrCreatePrivate } from "./private-files.ts";

export interface ControlKeys {
  memberKeys: Keyring;
  gatewayKeys: Keyring;
}

/** From the environment, else from `<data>/keys/`, where they are made when missing. @throws UserError */
export function readControlKeys(
  data: string,
  environment: Readonly<Record<string, string | undefined>>,
): ControlKeys {
  const read = (variable: string, name: string): Keyring => {
    const text = environment[variable];
    if (text !== undefined && text !== "") return parseKeyring(text, variable);
    const file = join(data, "keys", `${name}.key`);
    return parseKeyring(
      readOrCreatePrivate(file, () => newKey(name)),
      file,
    );
  };
  return {
    memberKeys: read("MANYBASE_MEMBER_KEY", "member"),
    gatewayKeys: read("MANYBASE_GATEWAY_KEY", "gateway"),
  };
}

function newKey(name: string): string {
  return `${name}-1:${base64Url(crypto.getRandomValues(new Uint8Array(32)))}`;
}
