import type { DatabaseName, Epoch, TenantId, Txid } from "../../shared/ids.ts";
import { decodeHash } from "../../shared/log/entry-hash.ts";
import type { DataEntry, RefEntry, StateEntry } from "../../shared/log/log.ts";
import { base64Url } from "../../shared/protocol/mac.ts";
import type { DataKeys } from "./data-key.ts";
import { downgraded, tampered } from "./errors.ts";
import { hkdf } from "./hkdf.ts";
import { type SealedAs, openBytes, sealBytes, sealedSize } from "./sealed.ts";
import type { TenantKeys } from "./tenant-keys.ts";

/** Where an entry stands in its database's history: what its body is bound to. */
export interface EntryPlace {
  tenant: TenantId;
  database: DatabaseName;
  epoch: Epoch;
  txid: Txid;
}

/** Bodies of log entries, between what replication knows (LTX files) and what stands in the log. */
export interface EntryCiphers {
  /** Bytes that an LTX file takes in the log. */
  storedBytes(tenant: TenantId, ltxBytes: number): number;
  /** What stands in the log for an LTX file; undefined for a plain tenant: the file itself. */
  seal(place: EntryPlace, ltx: Uint8Array): Uint8Array | undefined;
  /** What a REF says for its object's SHA-256 (base64url); undefined for a plain tenant: that itself. */
  sealDigest(place: EntryPlace, sha256: string): string | undefined;
  /**
   * An entry of a log or bundle with its LTX file or that one's SHA-256 in the place of what stood there.
   * @throws SystemError `object_corrupt` for what was changed, swapped, or is plain in an encrypted tenant; `data_key_missing`
   */
  open<Entry extends DataEntry | RefEntry>(entry: Entry): Entry;
  /** What stands in the log for the body of a STATE entry; undefined for a plain tenant: that itself. */
  sealState(whose: StateOf, body: Uint8Array): Uint8Array | undefined;
  /** The body of a STATE entry as its writer knew it. @throws as `open` */
  openState(entry: StateEntry): Uint8Array;
}

type StateOf = Pick<StateEntry, "tenant" | "epoch">;

/** Of a REF's digest, which has no room for another. */
const DIGEST_KEY_VERSION = 1;

/** The ciphers of all tenants that are open here. Each throws `tenant_stopped` for another. */
export function entryCiphers(keys: TenantKeys): EntryCiphers {
  /** The keys that this entry is sealed with. @throws when it is the only one that is, or is not */
  const keysFor = (entry: DataEntry | RefEntry | StateEntry, name: string): DataKeys | undefined => {
    const own = keys.of(entry.tenant);
    if (own === undefined && entry.encrypted === true)
      throw tampered(`entry ${name}`, "it is encrypted, and its tenant is not");
    if (own !== undefined && entry.encrypted !== true) throw downgraded(`entry ${name}`);
    return own;
  };
  return {
    storedBytes: (tenant, ltxBytes) => (keys.of(tenant) === undefined ? ltxBytes : sealedSize(ltxBytes)),
    seal(place, ltx) {
      const own = keys.of(place.tenant);
      return own === undefined ? undefined : sealBytes(own, sealedAs(place), ltx, keys.randomBytes);
    },
    sealDigest(place, sha256) {
      const own = keys.of(place.tenant);
      return own === undefined ? undefined : masked(own, place, sha256);
    },
    open(entry) {
      const as = sealedAs(entry);
      const own = keysFor(entry, as.name);
      if (own === undefined) return entry;
      if (entry.kind === "data") return { ...entry, ltx: openBytes(own, as, entry.ltx), stored: entry.ltx };
      return { ...entry, sha256: masked(own, entry, entry.sha256), storedDigest: entry.sha256 };
    },
    sealState(whose, body) {
      const own = keys.of(whose.tenant);
      return own === undefined ? undefined : sealBytes(own, stateSealedAs(whose), body, keys.randomBytes);
    },
    openState(entry) {
      const as = stateSealedAs(entry);
      const own = keysFor(entry, as.name);
      return own === undefined ? entry.body : openBytes(own, as, entry.body);
    },
  };
}

/** The same twice gives what it was. */
function masked(keys: DataKeys, place: EntryPlace, digest: string): string {
  const { name } = sealedAs(place);
  const info = `manybase/1/digest/${DIGEST_KEY_VERSION}/${name}`;
  const key = keys.version(DIGEST_KEY_VERSION, name);
  const mask = hkdf(key, new Uint8Array(), info);
  return base64Url(decodeHash(digest).map((byte, i) => byte ^ (mask[i] ?? 0)));
}

const sealedAs = ({ tenant, database, epoch, txid }: EntryPlace): SealedAs => ({
  kind: "entry",
  name: `${tenant}/${database}/${epoch}/${txid}`,
});

const stateSealedAs = ({ tenant, epoch }: StateOf): SealedAs => ({
  kind: "entry",
  name: `${tenant}/state/${epoch}`,
});
