import { LRUCache } from "lru-cache";
import { limits } from "../../shared/limits.ts";
import { type Grant, type Mac, signGrant } from "../../shared/protocol/grant.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";

import { toLatin1 } from "../http1/head.ts";

/** What a grant is for, apart from the request. Kept by who asks again, so that its text is not made anew. */
export interface Granted {
  readonly grant: Grant;
  /** The same as text: different ones differ. */
  readonly name: string;
  /** What was signed last: many clients ask for the same. */
  last: Signed | undefined;
}

export interface Signed {
  method: string;
  path: string;
  by: Keyring["signing"];
  grant: string;
  /** As a header's line. */
  line: Uint8Array;
  freshUntilMs: number;
}

export function granted(grant: Grant): Granted {
  return { grant, name: `${grant.tenant} ${grant.epoch} ${grant.incarnation} `, last: undefined };
}

/**
 * Grants by what they grant: the same request soon after needs no new signature. Nothing is given away by it, since a grant is as good
 * for its whole life whoever made it last.
 */
export class GrantSigner {
  readonly #keys: Keyring;
  readonly #mac: Mac | undefined;
  #signing: Keyring["signing"];
  readonly #signed = new LRUCache<string, Signed>({
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

  sign(granted: Granted, method: string, path: string): Signed {
    const nowMs = Date.now();
    const { last } = granted;
    const by = this.#keys.signing;
    if (last !== undefined && last.path === path && last.method === method) {
      if (nowMs < last.freshUntilMs && last.by === by) return last;
    }
    const signed = this.#find(granted, method, path, nowMs);
    if (path.length <= limits.signedGrantCharactersMax) granted.last = signed;
    return signed;
  }

  #find({ grant, name }: Granted, method: string, path: string, nowMs: number): Signed {
    const by = this.#keys.signing;
    if (this.#signing !== by) {
      // Who rotates keys may take the old one away next.
      this.#signed.clear();
      this.#signing = by;
    }
    const key = `${name}${method} ${path}`;
    const known = this.#signed.get(key);
    if (known !== undefined && nowMs < known.freshUntilMs) return known;
    const text = signGrant(this.#keys, grant, method, path, nowMs, this.#mac);
    const signed = {
      ...{ method, path, by, grant: text, line: toLatin1(`${HEADERS.grant}: ${text}\r\n`) },
      freshUntilMs: nowMs + limits.grantMs / 3,
    };
    this.#signed.set(key, signed);
    return signed;
  }
}
