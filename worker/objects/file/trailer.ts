import { SystemError } from "../../../shared/errors.ts";
import type { StorageClass } from "../../../shared/objects/contract.ts";

/*
 * Every object file ends in 16 bytes: "MBOBJ1\n", the storage class, the body's length as u64 big-endian. Written
 * last and in the same file, they cannot part from the body, and a file that was cut cannot pass for an object.
 */
export const TRAILER_BYTES = 16;
export const CLASS_OFFSET = 7;
const MAGIC = new TextEncoder().encode("MBOBJ1\n");

const CLASS_CODES: Record<StorageClass, number> = {
  STANDARD: 0x53,
  STANDARD_IA: 0x49,
  GLACIER_IR: 0x52,
  GLACIER: 0x47,
  DEEP_ARCHIVE: 0x44,
};
const CLASSES = new Map(Object.entries(CLASS_CODES).map(([name, code]) => [code, name as StorageClass]));

export const classByte = (storageClass: StorageClass = "STANDARD"): Uint8Array =>
  Uint8Array.of(CLASS_CODES[storageClass]);

export function trailer(length: number, storageClass: StorageClass | undefined): Uint8Array {
  const bytes = new Uint8Array(TRAILER_BYTES);
  bytes.set(MAGIC);
  bytes.set(classByte(storageClass), CLASS_OFFSET);
  new DataView(bytes.buffer).setBigUint64(8, BigInt(length));
  return bytes;
}

/** @throws SystemError `object_corrupt` */
export function readTrailer(key: string, fileBytes: number, bytes: Uint8Array): StorageClass {
  const storageClass = CLASSES.get(bytes[CLASS_OFFSET] ?? 0);
  const whole =
    bytes.length === TRAILER_BYTES &&
    MAGIC.every((byte, at) => bytes[at] === byte) &&
    new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(8) === BigInt(fileBytes - TRAILER_BYTES);
  if (!whole || storageClass === undefined) {
    throw new SystemError("object_corrupt", `Cannot read ${key}: its file is cut or was changed`);
  }
  return storageClass;
}
