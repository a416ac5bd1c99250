import { limits } from "../limits.ts";
import type { CarriedState } from "../protocol/internal.ts";
import { ByteReader, ByteWriter, logCorrupt } from "./bytes.ts";

/** The body of a STATE entry (FORMATS.md, section 2), of an encrypted tenant before it is sealed. */
export function encodeState(values: CarriedState): Uint8Array {
  const out = new ByteWriter(256);
  const items = Object.entries(values);
  out.uvarint(items.length);
  for (const [name, value] of items) out.text(name).text(value);
  return out.finish();
}

/** @throws SystemError `object_corrupt`, also for more than a tenant may carry */
export function decodeState(body: Uint8Array): CarriedState {
  const reader = new ByteReader(body);
  const values = new Map<string, string>();
  for (let left = reader.count(2); left > 0; left--) {
    const name = reader.text();
    const value = reader.text();
    if (values.has(name)) throw logCorrupt("a name stands twice in its STATE");
    if (value.length > limits.carriedValueCharactersMax || values.size === limits.carriedValuesMax) {
      throw logCorrupt("its STATE is too large");
    }
    values.set(name, value);
  }
  reader.finish("STATE");
  return Object.fromEntries(values);
}
