/** Random texts that match a pattern: ids, token keys and what `autogeneratePattern` says. */
import { LRUCache } from "lru-cache";
import { randomText } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { matchesPattern } from "./pattern.ts";

const LOWER = "abcdefghijklmnopqrstuvwxyz";
const UPPER = LOWER.toUpperCase();
const DIGITS = "0123456789";
const WORD = `${DIGITS}${UPPER}_${LOWER}`;
const PRINTABLE = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("");

export const ALPHANUMERIC = `${UPPER}${LOWER}${DIGITS}`;
export const ID_ALPHABET = `${LOWER}${DIGITS}`;

/** `[class]{n}`: what nearly all patterns are, made without a parser. */
const SIMPLE = /^\[((?:[a-zA-Z0-9_]-[a-zA-Z0-9_]|[a-zA-Z0-9_])+)\]\{(\d{1,3})\}$/;

/** False for patterns that take the parser. */
const simples = new LRUCache<string, { length: number; characters: string } | false>({
  max: limits.simplePatternsMax,
});

/** @throws Error for a pattern that this generator does not read */
export function randomByPattern(pattern: string): string {
  let simple = simples.get(pattern);
  if (simple === undefined) {
    const found = SIMPLE.exec(pattern);
    simple = found === null ? false : { length: Number(found[2]), characters: expandRanges(found[1] ?? "") };
    simples.set(pattern, simple);
  }
  if (simple !== false) return randomText(simple.length, simple.characters);
  const reader = new PatternReader(pattern);
  const text = reader.alternatives();
  if (!reader.atEnd) throw new Error(`Cannot generate from pattern ${pattern}: unexpected ")"`);
  return text;
}

function expandRanges(text: string): string {
  const characters = new Set<string>();
  for (let i = 0; i < text.length; i++) {
    const from = text.charCodeAt(i);
    const isRange = text[i + 1] === "-" && i + 2 < text.length;
    const to = isRange ? text.charCodeAt(i + 2) : from;
    for (let code = from; code <= to; code++) characters.add(String.fromCharCode(code));
    if (isRange) i += 2;
  }
  return [...characters].join("");
}

function below(count: number): number {
  return count <= 1 ? 0 : (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % count;
}

/** What stands for a place and makes no text, by the numbers that Go's parser has for it. */
const POSITIONS: Readonly<Record<string, number>> = {
  "^": 9,
  $: 10,
  "\\A": 9,
  "\\z": 10,
  "\\b": 11,
  "\\B": 12,
};
const CONTROLS: Readonly<Record<string, string>> = {
  a: "\x07",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** Of the classes that are named rather than listed: printable ones where there are any, else some of their script. */
const classes = new LRUCache<string, string>({ max: limits.simplePatternsMax });

function charactersOf(escape: string): string {
  const known = classes.get(escape);
  if (known !== undefined) return known;
  const pattern = `^${escape}$`;
  let found = "";
  for (const character of PRINTABLE) if (matchesPattern(pattern, character)) found += character;
  for (let code = 0x80; found === "" && code < 0x10000; code++) {
    const character = String.fromCharCode(code);
    if (character.isWellFormed() && matchesPattern(pattern, character)) found = character;
  }
  classes.set(escape, found);
  return found;
}

/** Parses and generates in one walk; a repeated part is parsed again for every repetition. */
class PatternReader {
  private at = 0;
  private readonly pattern: string;
  private produced = 0;

  constructor(pattern: string) {
    this.pattern = pattern;
  }

  get atEnd(): boolean {
    return this.at >= this.pattern.length;
  }

  alternatives(): string {
    const options: string[] = [this.sequence()];
    while (this.pattern[this.at] === "|") {
      this.at++;
      options.push(this.sequence());
    }
    return options[below(options.length)] ?? "";
  }

  private sequence(): string {
    let text = "";
    while (!this.atEnd && !"|)".includes(this.pattern[this.at] ?? "")) text += this.repeated();
    return text;
  }

  private repeated(): string {
    const start = this.at;
    const first = this.atom();
    const afterAtom = this.at;
    const [min, max] = this.quantifier();
    const end = this.at;
    if (min === 1 && max === 1) return first;
    const count = min + below(max - min + 1);
    let text = "";
    for (let i = 0; i < count; i++) {
      this.at = start;
      text += this.atom();
      this.produced += 1;
      if (this.at !== afterAtom || this.produced > limits.generatedCharactersMax) {
        throw new Error(`Cannot generate from pattern ${this.pattern}: it repeats without a useful end`);
      }
    }
    this.at = end;
    return text;
  }

  private quantifier(): [number, number] {
    const rest = this.pattern.slice(this.at);
    const match = /^(?:[*+?]|\{(\d+)(,(\d*))?\})\??/.exec(rest);
    if (match === null) return [1, 1];
    this.at += match[0].length;
    const open = 10;
    if (match[0].startsWith("*")) return [0, open];
    if (match[0].startsWith("+")) return [1, open];
    if (match[0].startsWith("?")) return [0, 1];
    const min = Number(match[1]);
    if (match[2] === undefined) return [min, min];
    return [min, match[3] === "" || match[3] === undefined ? Math.max(min, open) : Number(match[3])];
  }

  private atom(): string {
    const character = this.pattern[this.at++] ?? "";
    const escape = character === "\\" ? `\\${this.pattern[this.at] ?? ""}` : character;
    const position = POSITIONS[escape];
    if (position !== undefined) throw new Error(`Unsupported pattern operator ${position}`);
    if (character === ".") return pick(PRINTABLE);
    if (character === "[") return pick(this.characterClass());
    if (character === "\\") return pick(this.escaped());
    if (character !== "(") return character;
    const flags = /^\?(?:[imsU-]*[:)]|P?<\w+>)/.exec(this.pattern.slice(this.at));
    if (flags !== null) this.at += flags[0].length;
    if (flags?.[0].endsWith(")") === true) return "";
    const inner = this.alternatives();
    if (this.pattern[this.at] !== ")")
      throw new Error(`Cannot generate from pattern ${this.pattern}: missing ")"`);
    this.at++;
    return inner;
  }

  private escaped(): string {
    const character = this.pattern[this.at++] ?? "";
    if (character === "d") return DIGITS;
    if (character === "w") return WORD;
    if (character === "s") return " ";
    const control = CONTROLS[character];
    if (control !== undefined) return control;
    const [rest = ""] = /^(?:\{\^?\w+\}|\w{1,2})/.exec(this.pattern.slice(this.at)) ?? [];
    if (character === "x") {
      this.at += rest.length;
      return String.fromCodePoint(Number.parseInt(rest.replace(/[{}]/g, ""), 16));
    }
    if (/[DSW]/.test(character)) return charactersOf(`\\${character}`);
    if (/[pP]/.test(character)) {
      const name = rest.startsWith("{") ? rest : rest.slice(0, 1);
      this.at += name.length;
      return charactersOf(`\\${character}${name}`);
    }
    if (/[a-zA-Z]/.test(character))
      throw new Error(`Cannot generate from pattern ${this.pattern}: \\${character}`);
    return character;
  }

  private characterClass(): string {
    const negated = this.pattern[this.at] === "^";
    if (negated) this.at++;
    let characters = "";
    let first = true;
    for (;;) {
      const character = this.pattern[this.at];
      if (character === undefined)
        throw new Error(`Cannot generate from pattern ${this.pattern}: missing "]"`);
      if (character === "]" && !first) break;
      first = false;
      this.at++;
      if (character === "\\") characters += this.escaped();
      else if (this.pattern[this.at] === "-" && (this.pattern[this.at + 1] ?? "]") !== "]") {
        characters += expandRanges(this.pattern.slice(this.at - 1, this.at + 2));
        this.at += 2;
      } else characters += character;
    }
    this.at++;
    return negated ? PRINTABLE.replace(/[^]/g, (c) => (characters.includes(c) ? "" : c)) : characters;
  }
}

function pick(characters: string): string {
  return characters.charAt(below(characters.length));
}
