import { UserError } from "../errors.ts";
import { type MacKey, fromBase64Url } from "./mac.ts";

/**
 * Keys as operators write them: `id:base64url(secret)`, several separated by commas or white space. The first signs, all verify:
 * add a new key at the end everywhere, then move it to the front everywhere, then remove the old one.
 *
 * @throws UserError `invalid_option`
 */
export function parseKeyring(text: string, what: string): Keyring {
  const keys = text
    .split(/[\s,]+/)
    .filter((part) => part !== "")
    .map((part): MacKey => {
      const colon = part.indexOf(":");
      const id = part.slice(0, colon);
      const secret = fromBase64Url(part.slice(colon + 1));
      if (colon < 1 || !/^[a-z0-9-]{1,32}$/.test(id) || secret === undefined || secret.length < 32) {
        throw new UserError(
          "invalid_option",
          `Cannot read ${what}: expected id:secret with at least 32 secret bytes`,
          {
            hint: "Secrets are base64url. `bun run control` makes both keys in <data>/keys/ when there are none.",
          },
        );
      }
      return { id, secret };
    });
  const [signing] = keys;
  if (signing === undefined) throw new UserError("invalid_option", `Cannot read ${what}: it is empty`);
  return { signing, byId: new Map(keys.map((key) => [key.id, key])) };
}

/** One key to sign with, any of several to verify with. */
export interface Keyring {
  signing: MacKey;
  byId: ReadonlyMap<string, MacKey>;
}

/** A keyring whose keys change while it is in use: whoever holds it signs and verifies with the newest ones. */
export class LiveKeyring implements Keyring {
  #now: Keyring;

  constructor(first: Keyring) {
    this.#now = first;
  }

  get signing(): MacKey {
    return this.#now.signing;
  }

  get byId(): ReadonlyMap<string, MacKey> {
    return this.#now.byId;
  }

  replace(next: Keyring): void {
    this.#now = next;
  }
}

/** Signs with the first one's key and verifies with any of both, as they are at that moment. */
export function joinKeyrings(first: Keyring, second: Keyring): Keyring {
  let parts: readonly ReadonlyMap<string, MacKey>[] = [];
  let all: ReadonlyMap<string, MacKey> = new Map();
  return {
    get signing() {
      return first.signing;
    },
    get byId() {
      if (parts[0] !== first.byId || parts[1] !== second.byId) {
        parts = [first.byId, second.byId];
        all = new Map([...first.byId, ...second.byId]);
      }
      return all;
    },
  };
}
