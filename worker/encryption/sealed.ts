import { createCipheriv, createDecipheriv } from "node:crypto";
import { hkdf } from "./hkdf.ts";
import { limits } from "../../shared/limits.ts";
import type { DataKeys } from "./data-key.ts";
import { downgraded, tampered } from "./errors.ts";

/**
 * The sealed format (FORMATS.md, Sealed objects): 16 bytes of ours, then Tink's AesGcmHkdfStreaming with segments of 1 MiB, a derived
 * key of 32 bytes and HKDF-SHA-256. https://developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming
 */
const MAGIC = 0x4d42_4f45; // MBOE
const VERSION = 1;
const PREFIX_BYTES = 16;
const SALT_BYTES = 32;
const NONCE_PREFIX_BYTES = 7;
const STREAM_HEADER_BYTES = 1 + SALT_BYTES + NONCE_PREFIX_BYTES;
const TAG_BYTES = 16;
const SEGMENT_BYTES = limits.sealedSegmentBytes;

/** Before the first segment's ciphertext. */
export const SEALED_HEADER_BYTES = PREFIX_BYTES + STREAM_HEADER_BYTES;
/** Of an object without content. */
export const SEALED_BYTES_MIN = SEALED_HEADER_BYTES + TAG_BYTES;

/** What a sealed body is bound to; opened as anything else it is refused. */
export interface SealedAs {
  /** `object` or `entry`. */
  kind: string;
  /** Whose, and which: the object's key as the rooms know it, or an entry's position. */
  name: string;
}

/** Plain bytes in front of segment `i` of the content; the first one shares its place with the header. */
const segmentStart = (i: number): number =>
  i === 0 ? 0 : i * (SEGMENT_BYTES - TAG_BYTES) - STREAM_HEADER_BYTES;

export const segmentCount = (size: number): number =>
  Math.max(1, Math.ceil((size + STREAM_HEADER_BYTES) / (SEGMENT_BYTES - TAG_BYTES)));

/** Bytes of a sealed body with `size` bytes of content. */
export const sealedSize = (size: number): number =>
  SEALED_HEADER_BYTES + size + TAG_BYTES * segmentCount(size);

/** Bytes of content; undefined when nothing sealed has this size. */
export function contentSize(sealed: number): number | undefined {
  const size = sealed - SEALED_HEADER_BYTES - TAG_BYTES * Math.ceil((sealed - PREFIX_BYTES) / SEGMENT_BYTES);
  return size >= 0 && sealedSize(size) === sealed ? size : undefined;
}

/** Where segment `i` stands: of the content, and of the sealed body without the header. */
export function segment(
  i: number,
  size: number,
): { start: number; end: number; sealedStart: number; sealedEnd: number } {
  const start = segmentStart(i);
  const end = Math.min(segmentStart(i + 1), size);
  const sealedStart = i === 0 ? SEALED_HEADER_BYTES : PREFIX_BYTES + i * SEGMENT_BYTES;
  return { start, end, sealedStart, sealedEnd: sealedStart + (end - start) + TAG_BYTES };
}

/** The segment that holds this byte of the content. */
export const segmentAt = (offset: number): number =>
  Math.floor((offset + STREAM_HEADER_BYTES) / (SEGMENT_BYTES - TAG_BYTES));

/** Seals one body, segment by segment in any order; each number is used once. */
export class Sealer {
  readonly header: Uint8Array;
  readonly #key: Uint8Array;

  /** @param randomBytes - must never repeat itself */
  constructor(keys: DataKeys, as: SealedAs, randomBytes: (length: number) => Uint8Array) {
    const { version, key } = keys.newest;
    const header = new Uint8Array(SEALED_HEADER_BYTES);
    const view = new DataView(header.buffer);
    view.setUint32(0, MAGIC);
    view.setUint16(4, VERSION);
    view.setUint32(8, version);
    view.setUint32(12, SEGMENT_BYTES);
    header[PREFIX_BYTES] = STREAM_HEADER_BYTES;
    header.set(randomBytes(SALT_BYTES + NONCE_PREFIX_BYTES), PREFIX_BYTES + 1);
    this.header = header;
    this.#key = derivedKey(key, header, as, version);
  }

  /** @param content - of segment `i` @returns with its tag */
  seal(i: number, isLast: boolean, content: Uint8Array): Uint8Array {
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce(this.header, i, isLast));
    const sealed = new Uint8Array(content.length + TAG_BYTES);
    sealed.set(cipher.update(content));
    cipher.final();
    sealed.set(cipher.getAuthTag(), content.length);
    return sealed;
  }
}

/** Opens segments of one sealed body in any order. */
export class Opener {
  readonly #header: Uint8Array;
  readonly #key: Uint8Array;
  readonly #what: string;

  /**
   * @param header - the first SEALED_HEADER_BYTES of the body
   * @throws SystemError `object_corrupt` for what is not sealed, `object_version`, `data_key_missing` for a version that is not there
   */
  constructor(keys: DataKeys, as: SealedAs, header: Uint8Array) {
    this.#what = as.name;
    if (header.length < SEALED_HEADER_BYTES) throw downgraded(as.name);
    const view = new DataView(header.buffer, header.byteOffset, SEALED_HEADER_BYTES);
    if (view.getUint32(0) !== MAGIC) throw downgraded(as.name);
    const isKnown = view.getUint16(4) === VERSION && view.getUint16(6) === 0;
    if (!isKnown || view.getUint32(12) !== SEGMENT_BYTES || header[PREFIX_BYTES] !== STREAM_HEADER_BYTES) {
      throw keys.unknownFormat(as.name);
    }
    const version = view.getUint32(8);
    this.#header = header;
    this.#key = derivedKey(keys.version(version, as.name), header, as, version);
  }

  /** @param sealed - segment `i` with its tag @throws SystemError `object_corrupt` */
  open(i: number, isLast: boolean, sealed: Uint8Array): Uint8Array {
    const end = sealed.length - TAG_BYTES;
    if (end < 0) throw tampered(this.#what, "it is cut off");
    const decipher = createDecipheriv("aes-256-gcm", this.#key, nonce(this.#header, i, isLast));
    decipher.setAuthTag(sealed.subarray(end));
    const content = decipher.update(sealed.subarray(0, end));
    try {
      decipher.final();
    } catch (cause) {
      throw tampered(this.#what, "it was changed, cut off, or belongs somewhere else", cause);
    }
    return new Uint8Array(content.buffer, content.byteOffset, content.length);
  }
}

/** A whole body in memory. */
export function sealBytes(
  keys: DataKeys,
  as: SealedAs,
  content: Uint8Array,
  randomBytes: (length: number) => Uint8Array,
): Uint8Array {
  const sealer = new Sealer(keys, as, randomBytes);
  const sealed = new Uint8Array(sealedSize(content.length));
  sealed.set(sealer.header);
  const count = segmentCount(content.length);
  for (let i = 0; i < count; i++) {
    const { start, end, sealedStart } = segment(i, content.length);
    sealed.set(sealer.seal(i, i === count - 1, content.subarray(start, end)), sealedStart);
  }
  return sealed;
}

/** @throws SystemError `object_corrupt`, `object_version`, `data_key_missing` */
export function openBytes(keys: DataKeys, as: SealedAs, sealed: Uint8Array): Uint8Array {
  const opener = new Opener(keys, as, sealed.subarray(0, SEALED_HEADER_BYTES));
  const size = contentSize(sealed.length);
  if (size === undefined) throw tampered(as.name, "it is cut off");
  const content = new Uint8Array(size);
  const count = segmentCount(size);
  for (let i = 0; i < count; i++) {
    const { start, sealedStart, sealedEnd } = segment(i, size);
    content.set(opener.open(i, i === count - 1, sealed.subarray(sealedStart, sealedEnd)), start);
  }
  return content;
}

function derivedKey(key: Uint8Array, header: Uint8Array, as: SealedAs, version: number): Uint8Array {
  const salt = header.subarray(PREFIX_BYTES + 1, PREFIX_BYTES + 1 + SALT_BYTES);
  return hkdf(key, salt, `manybase/1/${as.kind}/${version}/${as.name}`);
}

function nonce(header: Uint8Array, i: number, isLast: boolean): Uint8Array {
  const bytes = new Uint8Array(12);
  bytes.set(header.subarray(SEALED_HEADER_BYTES - NONCE_PREFIX_BYTES, SEALED_HEADER_BYTES));
  new DataView(bytes.buffer).setUint32(7, i);
  bytes[11] = isLast ? 1 : 0;
  return bytes;
}
