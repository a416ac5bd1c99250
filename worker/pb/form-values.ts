/** How PocketBase reads the text values of multipart and urlencoded bodies. */

/** The key whose values are whole JSON objects, merged without inference. */
export const JSON_PAYLOAD_KEY = "@jsonPayload";

/**
 * Text values by key as JSON-like values: `true`/`false` become booleans, canonical numerals numbers, repeated keys arrays.
 * @throws SyntaxError for a broken `@jsonPayload`
 */
export function inferValues(entries: Iterable<readonly [string, string]>): Record<string, unknown> {
  const grouped = new Map<string, string[]>();
  for (const [key, value] of entries) {
    const known = grouped.get(key);
    if (known === undefined) grouped.set(key, [value]);
    else known.push(value);
  }
  const values: Record<string, unknown> = {};
  for (const [key, texts] of grouped) {
    if (key === JSON_PAYLOAD_KEY) continue;
    values[key] = texts.length === 1 ? inferValue(texts[0] ?? "") : texts.map(inferValue);
  }
  for (const payload of grouped.get(JSON_PAYLOAD_KEY) ?? []) {
    const parsed: unknown = JSON.parse(payload);
    if (typeof parsed !== "object" || Array.isArray(parsed))
      throw new SyntaxError("payload is not an object");
    Object.assign(values, parsed);
  }
  return values;
}

function inferValue(text: string): unknown {
  if (text === "true") return true;
  if (text === "false") return false;
  if (!/^-?\d[\d.]*$/.test(text)) return text;
  const number = Number(text);
  return Number.isFinite(number) && plainNumeral(number) === text ? number : text;
}

/** Go's `FormatFloat(v, 'f', -1, 64)`: shortest digits, never an exponent. Only for what starts with a digit. */
function plainNumeral(value: number): string {
  const text = Object.is(value, -0) ? "-0" : String(value);
  const scientific = /^(-?)(\d)(?:\.(\d+))?e\+(\d+)$/.exec(text);
  if (scientific === null) return text;
  const [, sign = "", first = "", rest = "", exponent = "0"] = scientific;
  return sign + first + rest.padEnd(Number(exponent), "0");
}
