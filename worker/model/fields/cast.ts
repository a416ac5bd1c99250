/** How any input becomes text, number, truth or a list: the loose conversions that PocketBase applies to request data. */

export function toText(raw: unknown): string {
  switch (typeof raw) {
    case "string":
      return raw;
    case "number":
      return numberText(raw);
    case "boolean":
      return raw ? "true" : "false";
    case "bigint":
      return raw.toString();
    default:
      return "";
  }
}

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const HEXADECIMAL = /^([+-]?)0x([\da-f]+)p([+-]?\d+)$/i;

export function toNumber(raw: unknown): number {
  switch (typeof raw) {
    case "number":
      return raw;
    case "boolean":
      return raw ? 1 : 0;
    case "bigint":
      return Number(raw);
    case "string": {
      if (NUMBER.test(raw)) return finiteOrZero(Number(raw));
      if (/\d_\d/.test(raw)) return toNumber(raw.replaceAll(/(?<=\d)_(?=\d)/g, ""));
      const hexadecimal = HEXADECIMAL.exec(raw);
      if (hexadecimal !== null) {
        const [, sign = "", digits = "", exponent = ""] = hexadecimal;
        return finiteOrZero(Number.parseInt(sign + digits, 16) * 2 ** Number(exponent));
      }
      if (/^[+-]?inf(?:inity)?$/i.test(raw)) return raw.startsWith("-") ? -Infinity : Infinity;
      return /^nan$/i.test(raw) ? Number.NaN : 0;
    }
    default:
      return 0;
  }
}

/** A numeral beyond a float's range counts as none. */
function finiteOrZero(value: number): number {
  return Number.isFinite(value) ? value : 0;
}

const TRUE_TEXTS = new Set(["1", "t", "T", "TRUE", "true", "True"]);

export function toBool(raw: unknown): boolean {
  switch (typeof raw) {
    case "boolean":
      return raw;
    case "number":
      return raw !== 0;
    case "bigint":
      return raw !== 0n;
    case "string":
      return TRUE_TEXTS.has(raw);
    default:
      return false;
  }
}

/** Unique non-empty texts in order. A text that is a JSON array of texts is that array. */
export function toTexts(raw: unknown): string[] {
  if (raw === null || raw === undefined || raw === "") return [];
  if (typeof raw === "string") {
    if (raw.includes("[")) {
      try {
        const parsed: unknown = JSON.parse(raw);
        if (Array.isArray(parsed) && parsed.every((item) => typeof item === "string" || item === null)) {
          return unique(parsed);
        }
      } catch {
        return [raw];
      }
    }
    return [raw];
  }
  if (Array.isArray(raw)) return unique(raw);
  const text = toText(raw);
  return text === "" ? [] : [text];
}

function unique(items: readonly unknown[]): string[] {
  const seen = new Set<string>();
  for (const item of items) {
    const text = toText(item);
    if (text !== "") seen.add(text);
  }
  return [...seen];
}

/** Go's shortest decimal, never in exponent form. */
function numberText(value: number): string {
  const text = Object.is(value, -0) ? "-0" : String(value);
  const scientific = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (scientific === null) return text;
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = scientific;
  const shift = Number(exponent);
  const digits = whole + fraction;
  return shift < 0
    ? `${sign}0.${"0".repeat(-shift - 1)}${digits}`
    : `${sign}${digits.padEnd(shift + 1, "0")}`;
}

/** Code points: how PocketBase counts the characters of a text. */
export function characterCount(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length - 1; i++) {
    const isPair = (text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00;
    if (isPair) count--;
  }
  return count;
}
