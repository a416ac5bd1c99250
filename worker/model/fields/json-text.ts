/**
 * JSON that is shown as it was written. PocketBase keeps the text of a JSON value; a JavaScript value alone would lose how
 * numbers (`1.50`, `-0`), keys (`{"10":…,"9":…}`, repeated ones) and escapes stand in it.
 */
const MARK = crypto.randomUUID();
const MARKED = new RegExp(`"${MARK} (\\d+)"`, "g");

/** Texts met by the JSON.stringify that runs now; undefined outside of `stringifyExactly`. */
let met: string[] | undefined;

/** JSON.stringify, with the texts of `exactly` put in as they are. */
export function stringifyExactly(value: unknown): string | undefined {
  const texts: string[] = [];
  met = texts;
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } finally {
    met = undefined;
  }
  return texts.length === 0 ? json : json?.replace(MARKED, (_, index: string) => texts[Number(index)] ?? "");
}

/** A number or text of its own that only its JSON shows whole. */
class ExactPrimitive {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }

  valueOf(): unknown {
    return this.value;
  }
}

/** The value, which `stringifyExactly` writes as `text`, and everything else as it is. */
export function exactly(value: unknown, text: string): unknown {
  const holder = typeof value === "object" && value !== null ? value : new ExactPrimitive(value);
  const toJSON = (): unknown => {
    if (met === undefined) return plain(text, value);
    met.push(text);
    return `${MARK} ${met.length - 1}`;
  };
  return Object.defineProperty(holder, "toJSON", { value: toJSON, enumerable: false });
}

function plain(text: string, otherwise: unknown): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return otherwise;
  }
}

/** What of a JSON text JavaScript would write otherwise; it may also match what it would not. */
const OWN_WAY = /"\d+"\s*:|\\[u/]|-0(?![.\d]*[1-9])|\d\.\d*0(?!\d)|\d[eE]|\d{16}/;

/** Reads JSON. @throws SyntaxError */
export function parseExactly(text: string): unknown {
  const value: unknown = JSON.parse(text);
  return OWN_WAY.test(text) || repeatsKeys(text) ? exactly(value, compact(text)) : value;
}

/** Only what has more colons than its value has keys can repeat one; most texts are too short to ask. */
function repeatsKeys(text: string): boolean {
  if (!text.includes("{")) return false;
  const names = new Set<string>();
  for (const [name] of text.matchAll(/"(?:[^"\\]|\\.)*"(?=\s*:)/g)) {
    if (names.has(name)) return true;
    names.add(name);
  }
  return false;
}

function compact(text: string): string {
  return text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_, quoted: string | undefined) => quoted ?? "");
}

/** A value that came in a JSON body: objects have their keys in the order of their bytes. */
export function fromBody(value: unknown): unknown {
  const sorted = inOrder(value);
  const text = marshal(sorted);
  return text === JSON.stringify(sorted) ? sorted : exactly(sorted, text);
}

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== "object" || value === null) return value;
  const source = value as Record<string, unknown>;
  const keys = Object.keys(source).toSorted(byBytes);
  return Object.fromEntries(keys.map((key) => [key, inOrder(source[key])]));
}

function marshal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(marshal).join(",")}]`;
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? "-0" : JSON.stringify(value);
  const entries = Object.entries(value).toSorted(([a], [b]) => byBytes(a, b));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${marshal(item)}`).join(",")}}`;
}

function byBytes(a: string, b: string): number {
  if (/[\ud800-\udfff]/.test(a + b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

const UNPRINTABLE = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu;

/** A text that is no JSON itself, quoted as Go quotes: some of what cannot be printed makes JSON that is not valid. */
export function fromPlainText(text: string): unknown {
  const quoted = JSON.stringify(text)
    .replace(/\\u00(0[0-7be-f]|1.)/g, "\\x$1")
    .replace(UNPRINTABLE, escaped);
  return quoted === JSON.stringify(text) ? text : exactly(text, quoted);
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code === 0x7f) return "\\x7f";
  const hex = code.toString(16);
  return code > 0xffff ? `\\U${hex.padStart(8, "0")}` : `\\u${hex.padStart(4, "0")}`;
}
