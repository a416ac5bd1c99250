import type { Lz4 } from "./ltx.ts";

/**
 * The LZ4 block format (github.com/lz4/lz4, doc/lz4_Block_format.md) in plain TypeScript: greedy matching through one hash
 * table, as the reference's fast level does. No dictionary, no frames.
 */
const MIN_MATCH = 4;
/** The last bytes of a block are always literals, and no match starts within the last 12: rules of the format. */
const LAST_LITERALS = 5;
const MATCH_START_LIMIT = 12;
const HASH_BITS = 13;
const MAX_OFFSET = 65_535;
/** So many misses make the next step one byte longer, as its acceleration does in the reference. */
const MISSES_PER_STEP_BITS = 5;
/**
 * Only a match as long as this says that a stretch compresses. The shorter ones that chance brings about among random ids save a
 * byte or two and would take half of a cut's time: after so many misses they are not worth their sequence.
 */
const TELLING_MATCH = 8;
const MISSES_BEFORE_CHOOSY = 128;
/** Literals from here on are copied by words, from there on by one call, which costs as much as that many words. */
const WORD_COPY_MIN = 8;
const WORD_COPY_MAX = 256;

/** `base` + position of the last occurrence of each hash. What is below `base` is from an earlier block: so nothing need be cleared. */
const table = new Uint32Array(1 << HASH_BITS);
const BASE_MAX = 0x4000_0000;
let base = 1;
let scratch = new Uint8Array(0);
let scratchWords = new DataView(scratch.buffer);

export const lz4Block: Lz4 = {
  compressBlock(source) {
    const bound = source.length + Math.floor(source.length / 255) + 16;
    if (scratch.length < bound) {
      scratch = new Uint8Array(bound);
      scratchWords = new DataView(scratch.buffer);
    }
    return scratch.subarray(0, compressIntoScratch(source));
  },

  decompressBlock(source, size) {
    const target = new Uint8Array(size);
    decompressLz4Into(source, target);
    return target;
  },
};

/** @returns bytes written; the scratch buffer must hold source.length * 256 / 255 + 16 */
function compressIntoScratch(source: Uint8Array): number {
  const target = scratch;
  const end = source.length;
  const words = new DataView(source.buffer, source.byteOffset, end);
  const matchLimit = end - LAST_LITERALS;
  const startLimit = end - MATCH_START_LIMIT;
  let anchor = 0;
  let position = 0;
  let out = 0;
  let misses = 0;
  if (base + end > BASE_MAX) {
    table.fill(0);
    base = 1;
  }
  const first = base;
  base += end;
  while (position <= startLimit) {
    const sequence = words.getInt32(position, true);
    const hash = Math.imul(sequence, 0x9e37_79b1) >>> (32 - HASH_BITS);
    let match = (table[hash] as number) - first;
    table[hash] = first + position;
    if (match < 0 || position - match > MAX_OFFSET || words.getInt32(match, true) !== sequence) {
      // Incompressible stretches are skipped faster and faster, as the reference does.
      position += 1 + (misses++ >>> MISSES_PER_STEP_BITS);
      continue;
    }
    let length = MIN_MATCH;
    while (
      position + length + 4 <= matchLimit &&
      words.getInt32(position + length, true) === words.getInt32(match + length, true)
    ) {
      length += 4;
    }
    while (position + length < matchLimit && source[position + length] === source[match + length]) length++;
    if (length >= TELLING_MATCH) {
      misses = 0;
    } else if (misses > MISSES_BEFORE_CHOOSY) {
      position += 1 + (misses++ >>> MISSES_PER_STEP_BITS);
      continue;
    }
    while (position > anchor && match > 0 && source[position - 1] === source[match - 1]) {
      position--;
      match--;
      length++;
    }
    out = writeSequence(source, words, anchor, position, out, length - MIN_MATCH);
    const offset = position - match;
    // The offset stands between the literals and the longer part of the match length.
    out = writeMatch(target, out, offset, length - MIN_MATCH);
    position += length;
    anchor = position;
    if (position <= startLimit) {
      const inside = position - 2;
      table[Math.imul(words.getInt32(inside, true), 0x9e37_79b1) >>> (32 - HASH_BITS)] = first + inside;
    }
  }
  return writeSequence(source, words, anchor, end, out, 0);
}

/** Token and literals [from, to). The token's low half is the (capped) match length; 0 in the last sequence, which has no match. */
function writeSequence(
  source: Uint8Array,
  words: DataView,
  from: number,
  to: number,
  at: number,
  matchLength: number,
): number {
  const target = scratch;
  const targetWords = scratchWords;
  const literals = to - from;
  let out = at;
  target[out++] = (Math.min(literals, 15) << 4) | Math.min(matchLength, 15);
  if (literals >= 15) out = writeLength(target, out, literals - 15);
  if (literals > WORD_COPY_MAX) {
    target.set(source.subarray(from, to), out);
    return out + literals;
  }
  let i = from;
  if (literals >= WORD_COPY_MIN) {
    for (const last = to - 4; i <= last; i += 4, out += 4) {
      targetWords.setInt32(out, words.getInt32(i, true), true);
    }
  }
  for (; i < to; i++) target[out++] = source[i] as number;
  return out;
}

function writeMatch(target: Uint8Array, at: number, offset: number, length: number): number {
  target[at] = offset & 255;
  target[at + 1] = offset >>> 8;
  return length >= 15 ? writeLength(target, at + 2, length - 15) : at + 2;
}

function writeLength(target: Uint8Array, at: number, length: number): number {
  let out = at;
  let rest = length;
  for (; rest >= 255; rest -= 255) target[out++] = 255;
  target[out++] = rest;
  return out;
}

/** Fills `target` exactly. @throws RangeError when the block is damaged or of another size */
export function decompressLz4Into(source: Uint8Array, target: Uint8Array): void {
  const end = source.length;
  const size = target.length;
  let position = 0;
  let out = 0;
  for (;;) {
    if (position >= end) throw damaged();
    const token = source[position++] as number;
    let literals = token >>> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255) {
        if (position >= end) throw damaged();
        more = source[position++] as number;
        literals += more;
      }
    }
    if (literals > end - position || literals > size - out) throw damaged();
    if (literals > 32) {
      target.set(source.subarray(position, position + literals), out);
      position += literals;
      out += literals;
    } else {
      for (let i = 0; i < literals; i++) target[out++] = source[position++] as number;
    }
    if (position === end) break;
    if (end - position < 2) throw damaged();
    const offset = (source[position] as number) | ((source[position + 1] as number) << 8);
    position += 2;
    let length = token & 15;
    if (length === 15) {
      let more = 255;
      while (more === 255) {
        if (position >= end) throw damaged();
        more = source[position++] as number;
        length += more;
      }
    }
    length += MIN_MATCH;
    if (offset === 0 || offset > out || length > size - out) throw damaged();
    out = copyMatch(target, out, offset, length);
  }
  if (out !== size) throw damaged();
}

function copyMatch(target: Uint8Array, at: number, offset: number, length: number): number {
  const from = at - offset;
  if (length > 32 && offset >= length) {
    target.copyWithin(at, from, from + length);
  } else if (length > 32 && offset === 1) {
    target.fill(target[from] as number, at, at + length);
  } else {
    for (let i = 0; i < length; i++) target[at + i] = target[from + i] as number;
  }
  return at + length;
}

const damaged = (): RangeError => new RangeError("the LZ4 block is damaged or has another size");
