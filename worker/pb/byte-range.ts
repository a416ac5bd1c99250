export interface ByteRange {
  offset: number;
  length: number;
}

/**
 * The one range that a `Range` header asks for. Undefined (the whole file) without a header, for several ranges, and for an
 * empty file; a header that cannot be understood or met is `unsatisfiable`.
 */
export function parseRange(header: string | null, size: number): ByteRange | "unsatisfiable" | undefined {
  if (header === null) return undefined;
  const spec = /^bytes=(.*)$/.exec(header)?.[1];
  if (spec === undefined) return "unsatisfiable";
  if (spec.includes(",")) return undefined;
  const match = /^\s*(\d*)\s*-\s*(\d*)\s*$/.exec(spec);
  const [first, last] = [match?.[1] ?? "", match?.[2] ?? ""];
  if (first === "" && last === "") return "unsatisfiable";
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? (size === 0 ? undefined : "unsatisfiable") : { offset: size - length, length };
  }
  const offset = Number(first);
  const end = last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (offset >= size) return "unsatisfiable";
  return last !== "" && Number(last) < offset ? "unsatisfiable" : { offset, length: end - offset + 1 };
}
