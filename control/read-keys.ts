import { readFileSync } from "node:fs";
import { join } from "node:path";
import { followKeys } from "../shared/protocol/follow-keys.ts";
import { type Keyring, LiveKeyring, parseKeyring } from "../shared/protocol/keys.ts";
import { base64Url } from "../shared/protocol/mac.ts";
import { readOrCreatePrivate } from "./private-files.ts";

export interface ControlKeys {
  memberKeys: Keyring;
  gatewayKeys: Keyring;
  /** Keeps the keys that come from files as those say, and looks at them at each SIGHUP too. */
  follow: (told: (level: "info" | "warn", message: string) => void, stopping: AbortSignal) => void;
}

/** From the environment, else from `<data>/keys/`, where they are made when missing. @throws UserError */
export function readControlKeys(
  data: string,
  environment: Readonly<Record<string, string | undefined>>,
): ControlKeys {
  const files: { ring: LiveKeyring; name: string; read: () => string }[] = [];
  const readKeys = (variable: string, name: string): Keyring => {
    const text = environment[variable];
    if (text !== undefined && text !== "") return parseKeyring(text, variable);
    const file = join(data, "keys", `${name}.key`);
    const first = readOrCreatePrivate(file, () => newKey(name));
    const ring = new LiveKeyring(parseKeyring(first, file));
    // A file that is gone for a moment must not be made anew: the others would not have that key.
    files.push({ ring, name: file, read: () => readFileSync(file, "utf8") });
    return ring;
  };
  return {
    memberKeys: readKeys("MANYBASE_MEMBER_KEY", "member"),
    gatewayKeys: readKeys("MANYBASE_GATEWAY_KEY", "gateway"),
    follow(told, stopping) {
      for (const file of files) process.on("SIGHUP", followKeys({ ...file, told }, stopping));
    },
  };
}

function newKey(name: string): string {
  return `${name}-1:${base64Url(crypto.getRandomValues(new Uint8Array(32)))}`;
}
