import { createDecipheriv, hkdfSync } from "node:crypto";
import type { TenantId } from "../../../shared/ids.ts";
import { decodeKeyObject } from "../../../worker/encryption/data-key.ts";
import { masked } from "./sim-keys.ts";
import { Violation } from "./violation.ts";

const KEY = /^tenants\/([^/]+)\/keys\/([0-9a-f]{8})$/;
const OWNED = /^(?:tenants|backups)\/([^/]+)\//;
/** What stands in the clear: no content. */
const OPEN = /^tenants\/[^/]+\/(?:keys|pins|condemned|metadata)\//;
const HEADER_BYTES = 56;
const SEGMENT_BYTES = 2 ** 20;
const TAG_BYTES = 16;

/** Where an entry of a log stands. */
interface Place {
  tenant: string;
  database: string;
  epoch: number;
  txid: number;
}

/** In the rows of a tenant: found in what is stored if, and only if, that is in the clear. Nothing that LZ4 would shorten. */
export const markOf = (tenant: string): string => `mark-${Bun.hash.wyhash(tenant).toString(36)}`;

/**
 * Knows the data keys, and reads what is sealed by the written format (FORMATS.md, Sealed objects) with none of the product's code, so
 * that a wrong name, key or nonce cannot cancel itself out.
 */
export class SealJudge {
  readonly #tenants = new Map<string, { marker: string; isEncrypted: boolean }>();
  readonly #keys = new Map<string, Map<string, Uint8Array>>();
  readonly #headers = new Map<string, bigint>();
  /** When the first key of a tenant was seen. */
  readonly learnedMs = new Map<string, number>();
  readonly #nowMs: () => number;
  #marks = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  declare(tenant: TenantId, isEncrypted: boolean): void {
    this.#tenants.set(tenant, { marker: markOf(tenant), isEncrypted });
  }

  isEncrypted(tenant: string): boolean {
    return this.#tenants.get(tenant)?.isEncrypted === true;
  }

  /** Texts of plain tenants that were found in the store since the last call: so the same look would find an encrypted one's. */
  takeMarks(): number {
    const marks = this.#marks;
    this.#marks = 0;
    return marks;
  }

  /**
   * Whatever is created. @param hasContent - whether anything of the tenant is logged
   * @returns the content of what is a tenant's, opened
   */
  object(key: string, stored: Uint8Array, hasContent: (tenant: string) => boolean): Uint8Array {
    this.#look(key, stored);
    const named = KEY.exec(key);
    if (named !== null) this.#learn(named[1]!, key, Number.parseInt(named[2]!, 16), stored, hasContent);
    const tenant = OWNED.exec(key)?.[1];
    if (tenant === undefined || OPEN.test(key)) return stored;
    const isSealed = this.isEncrypted(tenant);
    if (key.endsWith(".ltxe") !== isSealed && /\.ltxe?$/.test(key)) {
      throw new Violation(`${key} has the name of ${isSealed ? "a plain" : "an encrypted"} tenant's file`);
    }
    return isSealed ? this.#opened(tenant, "object", key.replace(/\.ltxe$/, ".ltx"), stored) : stored;
  }

  /** The LTX file of an entry as it stands in a log. */
  entry(place: Place, isSealed: boolean, body: Uint8Array): Uint8Array {
    const { tenant, database, epoch, txid } = place;
    const name = `${tenant}/${database}/${epoch}/${txid}`;
    if (isSealed !== this.isEncrypted(tenant)) {
      throw new Violation(`entry ${name} is ${isSealed ? "encrypted" : "plain"}, and its tenant is not`);
    }
    return isSealed ? this.#opened(tenant, "entry", name, body) : body;
  }

  /** The keys are deleted: nothing that is still stored opens with any other. @param objects - all that is stored */
  shredded(tenant: TenantId, objects: ReadonlyMap<string, Uint8Array>): void {
    this.#keys.delete(tenant);
    for (const [key, stored] of objects) {
      if (OWNED.exec(key)?.[1] !== tenant || OPEN.test(key)) continue;
      const name = key.replace(/\.ltxe$/, ".ltx");
      for (const [other, keys] of this.#keys) {
        for (const one of keys.values()) {
          if (opened(one, "object", name, stored) === undefined) continue;
          throw new Violation(`${key} opens with a key of ${other}, and those of its tenant are gone`);
        }
      }
    }
  }

  /** No text of an encrypted tenant, and nobody's key, is in what is stored, logs included. */
  #look(key: string, stored: Uint8Array): void {
    const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.length);
    for (const [tenant, { marker, isEncrypted }] of this.#tenants) {
      if (isEncrypted && bytes.includes(marker)) {
        throw new Violation(`${key} has a text of encrypted ${tenant} in the clear`);
      }
      if (!isEncrypted && bytes.includes(marker)) this.#marks++;
    }
    for (const keys of this.#keys.values()) {
      for (const one of keys.values()) {
        if (bytes.includes(one)) throw new Violation(`${key} has a data key in the clear`);
      }
    }
  }

  #learn(
    tenant: string,
    key: string,
    version: number,
    stored: Uint8Array,
    hasContent: (tenant: string) => boolean,
  ): void {
    if (!this.isEncrypted(tenant)) throw new Violation(`${key} is a key of a plain tenant`);
    const { wrapped } = decodeKeyObject(key, stored);
    const dataKey = masked(wrapped, { tenant: tenant as TenantId, version });
    const known = this.#keys.get(tenant) ?? new Map<string, Uint8Array>();
    const isNew = !known.has(dataKey.toHex());
    if (isNew && hasContent(tenant)) throw new Violation(`${key} is made anew, and what is there is lost`);
    this.#keys.set(tenant, known.set(dataKey.toHex(), dataKey));
    if (isNew) this.learnedMs.set(tenant, this.#nowMs());
  }

  #opened(tenant: string, kind: string, name: string, sealed: Uint8Array): Uint8Array {
    const header = Buffer.from(sealed.subarray(16, HEADER_BYTES)).toString("base64");
    const hash = Bun.hash.wyhash(sealed);
    const before = this.#headers.get(header);
    if (before !== undefined && before !== hash) {
      throw new Violation(`${kind} ${name} has the salt and nonce of another`);
    }
    this.#headers.set(header, hash);
    for (const key of this.#keys.get(tenant)?.values() ?? []) {
      const content = opened(key, kind, name, sealed);
      if (content !== undefined) return content;
    }
    throw new Violation(`${kind} ${name} does not open with its tenant's key`);
  }
}

/** @returns undefined when it is not sealed like that */
function opened(key: Uint8Array, kind: string, name: string, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < HEADER_BYTES + TAG_BYTES || Buffer.from(sealed.subarray(0, 4)).toString() !== "MBOE") {
    return undefined;
  }
  const version = new DataView(sealed.buffer, sealed.byteOffset).getUint32(8);
  const info = Buffer.from(`manybase/1/${kind}/${version}/${name}`);
  const derived = new Uint8Array(hkdfSync("sha256", key, sealed.subarray(17, 49), info, 32));
  const parts: Uint8Array[] = [];
  for (let i = 0, at = HEADER_BYTES; at < sealed.length; i++) {
    const end = Math.min(16 + (i + 1) * SEGMENT_BYTES, sealed.length);
    const nonce = Buffer.alloc(12);
    nonce.set(sealed.subarray(49, HEADER_BYTES));
    nonce.writeUInt32BE(i, 7);
    nonce[11] = end === sealed.length ? 1 : 0;
    const decipher = createDecipheriv("aes-256-gcm", derived, nonce);
    decipher.setAuthTag(sealed.subarray(end - TAG_BYTES, end));
    parts.push(decipher.update(sealed.subarray(at, end - TAG_BYTES)));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    at = end;
  }
  return new Uint8Array(Buffer.concat(parts));
}
