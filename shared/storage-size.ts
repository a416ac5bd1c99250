import { UserError } from "./errors.ts";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const SIZE = /^(\d+(?:\.\d+)?) ?(B|[KMGT]iB)?$/;

/** `10GiB`, `1.5 MiB` or a number of bytes; `none` is null. @throws UserError `invalid_option` */
export function parseStorage(text: string, name: string): number | null {
  if (text === "none") return null;
  const [, digits, unit = "B"] = SIZE.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(digits) * 1024 ** UNITS.indexOf(unit));
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new UserError("invalid_option", `Cannot read ${name}: ${JSON.stringify(text)} is not a size`, {
    hint: 'Write a size like 500MiB or 10GiB, or "none".',
  });
}

/** For people: three digits and a binary unit. */
export function storageText(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? "B"}`;
}
