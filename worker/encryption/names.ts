import type { TenantId } from "../../shared/ids.ts";

const OWNED = /^(?:tenants|backups)\/([a-z0-9]{15})\//;
const PLAIN = /^tenants\/[a-z0-9]{15}\/(?:keys|pins|condemned|metadata)\//;
const LTX = /^tenants\/[a-z0-9]{15}\/litestream\/.*\.ltx$/;

/** Whose content a key or prefix is about; undefined for what holds none, or names nobody. */
export function contentOf(key: string): TenantId | undefined {
  return PLAIN.test(key) ? undefined : ownerOf(key);
}

/** Whose object it is. */
export function ownerOf(key: string): TenantId | undefined {
  return OWNED.exec(key)?.[1] as TenantId | undefined;
}

/** What an object of an encrypted tenant is called in the store: sealed LTX is no LTX, and stock tools must not take it for such. */
export const storedName = (key: string): string => (LTX.test(key) ? `${key}e` : key);

/** The other way round. */
export const plainName = (stored: string): string =>
  LTX.test(stored.slice(0, -1)) && stored.endsWith("e") ? stored.slice(0, -1) : stored;

/** An LTX file under a name that only plain tenants have. */
export const isPlainLtx = (stored: string): boolean => LTX.test(stored);
