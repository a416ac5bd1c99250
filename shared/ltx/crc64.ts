/**
 * CRC-64/GO-ISO: polynomial 0x1B reflected, all ones in and out; what Go's hash/crc64 calls ISO and LTX uses. Slicing-by-8
 * (Kounavis and Berry, 2005) on two 32-bit halves, since bigint arithmetic would be two orders of magnitude slower.
 */
const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
/** Below, a view on words costs more than it saves. */
const WORDS_BYTES_MIN = 256;
const POLYNOMIAL_HIGH = 0xd800_0000;

/** Entry [slice * 256 + byte]: the effect of that byte followed by `slice` zero bytes. */
const HIGH = new Int32Array(8 * 256);
const LOW = new Int32Array(8 * 256);
for (let byte = 0; byte < 256; byte++) {
  let high = 0;
  let low = byte;
  for (let bit = 0; bit < 8; bit++) {
    const carry = low & 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (carry === 1) high ^= POLYNOMIAL_HIGH;
  }
  HIGH[byte] = high;
  LOW[byte] = low;
}
for (let i = 256; i < HIGH.length; i++) {
  const high = HIGH[i - 256] as number;
  const low = LOW[i - 256] as number;
  HIGH[i] = (high >>> 8) ^ (HIGH[low & 255] as number);
  LOW[i] = ((low >>> 8) | (high << 24)) ^ (LOW[low & 255] as number);
}

export class Crc64 {
  #high = 0xffff_ffff;
  #low = 0xffff_ffff;

  /** The upper half of the checksum, unsigned. */
  get high(): number {
    return ~this.#high >>> 0;
  }

  /** The lower half of the checksum, unsigned. */
  get low(): number {
    return ~this.#low >>> 0;
  }

  update(bytes: Uint8Array, start = 0, end = bytes.length): this {
    let high = this.#high;
    let low = this.#low;
    let i = start;
    if (LITTLE_ENDIAN && end - start >= WORDS_BYTES_MIN && ((bytes.byteOffset + start) & 3) === 0) {
      // Whole words: a fourth of the loads. Page bodies are aligned so.
      const words = new Int32Array(bytes.buffer, bytes.byteOffset + start, ((end - start) >>> 3) * 2);
      for (let w = 0; w < words.length; w += 2) {
        low ^= words[w] as number;
        high ^= words[w + 1] as number;
        const a = 1792 + (low & 255);
        const b = 1536 + ((low >>> 8) & 255);
        const c = 1280 + ((low >>> 16) & 255);
        const d = 1024 + (low >>> 24);
        const e = 768 + (high & 255);
        const f = 512 + ((high >>> 8) & 255);
        const g = 256 + ((high >>> 16) & 255);
        const h = high >>> 24;
        low =
          (LOW[a] as number) ^
          (LOW[b] as number) ^
          (LOW[c] as number) ^
          (LOW[d] as number) ^
          (LOW[e] as number) ^
          (LOW[f] as number) ^
          (LOW[g] as number) ^
          (LOW[h] as number);
        high =
          (HIGH[a] as number) ^
          (HIGH[b] as number) ^
          (HIGH[c] as number) ^
          (HIGH[d] as number) ^
          (HIGH[e] as number) ^
          (HIGH[f] as number) ^
          (HIGH[g] as number) ^
          (HIGH[h] as number);
      }
      i += words.length * 4;
    }
    for (const last = end - 8; i <= last; i += 8) {
      low ^=
        (bytes[i] as number) |
        ((bytes[i + 1] as number) << 8) |
        ((bytes[i + 2] as number) << 16) |
        ((bytes[i + 3] as number) << 24);
      high ^=
        (bytes[i + 4] as number) |
        ((bytes[i + 5] as number) << 8) |
        ((bytes[i + 6] as number) << 16) |
        ((bytes[i + 7] as number) << 24);
      const a = 1792 + (low & 255);
      const b = 1536 + ((low >>> 8) & 255);
      const c = 1280 + ((low >>> 16) & 255);
      const d = 1024 + (low >>> 24);
      const e = 768 + (high & 255);
      const f = 512 + ((high >>> 8) & 255);
      const g = 256 + ((high >>> 16) & 255);
      const h = high >>> 24;
      low =
        (LOW[a] as number) ^
        (LOW[b] as number) ^
        (LOW[c] as number) ^
        (LOW[d] as number) ^
        (LOW[e] as number) ^
        (LOW[f] as number) ^
        (LOW[g] as number) ^
        (LOW[h] as number);
      high =
        (HIGH[a] as number) ^
        (HIGH[b] as number) ^
        (HIGH[c] as number) ^
        (HIGH[d] as number) ^
        (HIGH[e] as number) ^
        (HIGH[f] as number) ^
        (HIGH[g] as number) ^
        (HIGH[h] as number);
    }
    for (; i < end; i++) {
      const index = (low ^ (bytes[i] as number)) & 255;
      low = ((low >>> 8) | (high << 24)) ^ (LOW[index] as number);
      high = (high >>> 8) ^ (HIGH[index] as number);
    }
    this.#high = high;
    this.#low = low;
    return this;
  }
}
