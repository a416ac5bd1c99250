import { limits } from "../limits.ts";
import { type LiveKeyring, parseKeyring } from "./keys.ts";

export interface KeyFile {
  ring: LiveKeyring;
  /** For what is told. */
  name: string;
  /** @throws when it cannot be read */
  read: () => string;
  /** Told of a change (key ids only, never a secret), and once of each content that cannot be used. */
  told: (level: "info" | "warn", message: string) => void;
}

/**
 * Keeps a keyring as its file says, so that keys are rotated without a restart. A file that cannot be read or has no keys in it
 * changes nothing: the keys that worked stay.
 *
 * @returns what looks at the file now, for a signal from outside
 */
export function followKeys({ ring, name, read, told }: KeyFile, stopping: AbortSignal): () => void {
  let seen: string | undefined;
  const look = (): void => {
    let text = "";
    try {
      text = read();
      if (text === seen) return;
      const next = parseKeyring(text, name);
      const changed = idsOf(next) !== idsOf(ring);
      ring.replace(next);
      if (changed) told("info", `Read ${name}: keys ${idsOf(next)}; the first signs`);
    } catch (error) {
      const problem = (error as Error).message;
      // Said once for each state of the file.
      if (text === seen || seen === problem) return;
      told("warn", `${problem}; the keys stay as they were`);
      if (text === "") text = problem;
    }
    seen = text;
  };
  look();
  const timer = setInterval(look, limits.keyReloadMs);
  stopping.addEventListener("abort", () => clearInterval(timer), { once: true });
  return look;
}

function idsOf({ signing, byId }: Pick<LiveKeyring, "signing" | "byId">): string {
  return [signing.id, ...[...byId.keys()].filter((id) => id !== signing.id)].join(", ");
}
