/**
 * Compares two well-formed strings as their UTF-8 bytes would compare. JavaScript compares UTF-16 units, which sorts characters
 * above U+FFFF (surrogate pairs) before U+E000..U+FFFF; only there do the two orders differ.
 */
export function compareByteOrder(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left === right) continue;
    if (left >= 0xd800 && right >= 0xd800 && isSurrogate(left) !== isSurrogate(right)) {
      return isSurrogate(left) ? 1 : -1;
    }
    return left - right;
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}
