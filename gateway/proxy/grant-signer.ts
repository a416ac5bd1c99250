import { LRUCache } from "lru-cache";
import { limits } from "../../shared/limits.ts";
import { type Grant, type Mac, signGrant } from "../../shared/protocol/grant.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";

/**
 * Grants by what they grant: the same request soon after needs no new signature. Nothing is given away by it, since a grant is as good
 * for its whole life whoever made it last.
 */
export class GrantSigner {
  readonly #keys: Keyring;
  readonly #mac: Mac | undefined;
  #signing: Keyring["signing"];
  readonly #signed = new LRUCache<string, { grant: string; freshUntilMs: number }>({
    max: limits.signedGrantsMax,
    // Addresses that differ in every request are not worth keeping.
    maxEntrySize: limits.signedGrantCharactersMax,
    sizeCalculation: (_, key) => key.length,
  });

  constructor(keys: Keyring, mac?: Mac) {
    this.#keys = keys;
    this.#mac = mac;
    this.#signing = keys.signing;
  }

  sign(grant: Grant, method: string, path: string): string {
    if (this.#signing !== this.#keys.signing) {
      // Who rotates keys may take the old one away next.
      this.#signed.clear();
      this.#signing = this.#keys.signing;
    }
    const name = `${grant.tenant} ${grant.epoch} ${grant.incarnation} ${method} ${path}`;
    const nowMs = Date.now();
    const known = this.#signed.get(name);
    if (known !== undefined && nowMs < known.freshUntilMs) return known.grant;
    const signed = signGrant(this.#keys, grant, method, path, nowMs, this.#mac);
    this.#signed.set(name, { grant: signed, freshUntilMs: nowMs + limits.grantMs / 3 });
    return signed;
  }
}
