/**
 * CRC-64/GO-ISO: x^64 + x^4 + x^3 + x + 1 reflected, all ones in and out; what Go's hash/crc64 calls ISO and LTX uses. So few terms
 * need no tables: eight bytes are multiplied by x^64, which is (1 + x)(1 + x^3) here, by shifts of two 32-bit halves. Multiplying by x
 * is a shift to the right; what falls out at the lower end is multiplied once more.
 */
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
      const fallen = (low << 28) ^ (low << 29) ^ (low << 31);
      const byCube = low ^ ((low >>> 3) | (high << 29));
      low = byCube ^ ((byCube >>> 1) | ((high ^ (high >>> 3)) << 31));
      high = timesTail(high ^ fallen);
    }
    for (; i < end; i++) {
      const byte = (low ^ (bytes[i] as number)) & 255;
      low = (low >>> 8) | (high << 24);
      high = (high >>> 8) ^ timesTail(byte << 24);
    }
    this.#high = high;
    this.#low = low;
    return this;
  }
}

/** The upper half times (1 + x)(1 + x^3); its caller sees to what falls into the lower one. */
function timesTail(high: number): number {
  const byCube = high ^ (high >>> 3);
  return byCube ^ (byCube >>> 1);
}
