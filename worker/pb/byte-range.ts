export interface ByteRange {
  offset: number;
  length: number;
}

/**
 * The ranges that a `Range` header asks for, as Go's file server reads it. None (the whole file) without a header, and where the
 * ranges are more together than the file; `invalid` cannot be understood, `unsatisfiable` lies behind the file's end.
 */
export function parseRanges(header: string | null, size: number): ByteRange[] | "invalid" | "unsatisfiable" {
  if (header === null || header === "") return [];
  const spec = /^bytes=(.*)$/s.exec(header)?.[1];
  if (spec === undefined) return "invalid";
  const ranges: ByteRange[] = [];
  let isBehind = false;
  for (const part of spec.split(",").map((text) => text.trim())) {
    if (part === "") continue;
    const range = parseOne(part, size);
    if (range === "invalid") return range;
    if (range === "unsatisfiable") isBehind = true;
    else ranges.push(range);
  }
  if (isBehind && ranges.length === 0) return size === 0 ? [] : "unsatisfiable";
  return ranges.reduce((sum, { length }) => sum + length, 0) > size ? [] : ranges;
}

function parseOne(text: string, size: number): ByteRange | "invalid" | "unsatisfiable" {
  const [, first = "", last = ""] = /^(\+?\d+|)\s*-\s*(\+?\d+|)$/.exec(text) ?? [];
  if ((first === "" && last === "") || !isInt64(first) || !isInt64(last)) return "invalid";
  if (first === "") {
    const length = Math.min(Number(last), size);
    return { offset: size - length, length };
  }
  const offset = Number(first);
  if (offset >= size) return "unsatisfiable";
  if (last !== "" && Number(last) < offset) return "invalid";
  const end = last === "" ? size - 1 : Math.min(Number(last), size - 1);
  return { offset, length: end - offset + 1 };
}

const isInt64 = (digits: string): boolean => Number(digits) < 2 ** 63;
