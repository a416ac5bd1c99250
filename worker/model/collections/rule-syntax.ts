/**
 * Where a rule's text stops to be one, in the words that PocketBase's dashboard shows. Read only for rules that
 * `shared/filter` has refused: that parser decides, this one explains.
 */
type Kind = "identifier" | "function" | "number" | "text" | "sign" | "join" | "group";

interface Token {
  kind: Kind;
  literal: string;
}

const EMPTY = "empty filter expression";
const INCOMPLETE = "invalid or incomplete filter expression";
const FUNCTION_DEPTH_MAX = 3;

const BLANK = /[ \t\n]/;
const NAME_START = /[A-Za-z@_#]/;
const NAME = /[\w.:]/;
const NUMBER_START = /[-\d]/;
const SIGN = /[=?!<>~]/;
const SIGNS = /^\??(?:!?[=~]|[<>]=?)$/;
const JOIN = /[&|]/;
const OPERANDS = new Set<Kind>(["identifier", "text", "number", "function"]);

class Refused extends Error {}

/** Undefined when the text is a filter. */
export function syntaxError(text: string): string | undefined {
  try {
    parse(text);
    return undefined;
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
}

/** @throws Refused */
function parse(text: string): void {
  const scanner = new Scanner(text);
  let step: "left" | "sign" | "right" | "join" = "left";
  let seen = false;
  for (let token = scanner.next(); token !== undefined; token = scanner.next()) {
    const { kind, literal } = token;
    const got = `got ${JSON.stringify(literal)} (${kind})`;
    if (kind === "group") {
      parse(literal);
      [step, seen] = ["join", true];
    } else if (step === "left") {
      const operands = "(identifier, function, text or number)";
      if (!OPERANDS.has(kind)) throw new Refused(`expected left operand ${operands}, ${got}`);
      [step, seen] = ["sign", true];
    } else if (step === "sign") {
      if (kind !== "sign") throw new Refused(`expected a sign operator, ${got}`);
      step = "right";
    } else if (step === "right") {
      const operands = "(identifier, function text or number)";
      if (!OPERANDS.has(kind)) throw new Refused(`expected right operand ${operands}, ${got}`);
      step = "join";
    } else {
      if (kind !== "join") throw new Refused(`expected && or ||, ${got}`);
      step = "left";
    }
  }
  if (step !== "join") throw new Refused(seen ? INCOMPLETE : EMPTY);
}

class Scanner {
  readonly #characters: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#characters = Array.from(text);
  }

  /** Undefined at the end. @throws Refused */
  next(): Token | undefined {
    for (;;) {
      this.#while(BLANK);
      const first = this.#peek();
      if (first === "") return undefined;
      if (first === "/") this.#comment();
      else return this.#token(first);
    }
  }

  #token(first: string): Token {
    if (first === "(") return { kind: "group", literal: this.#group() };
    if (NAME_START.test(first)) return this.#name(FUNCTION_DEPTH_MAX);
    if (NUMBER_START.test(first)) return this.#number();
    if (first === "'" || first === '"') return { kind: "text", literal: this.#text().slice(1, -1) };
    if (SIGN.test(first)) return this.#operator("sign", SIGN, SIGNS);
    if (JOIN.test(first)) return this.#operator("join", JOIN, /^(?:&&|\|\|)$/);
    throw new Refused(`unexpected character '${first}'`);
  }

  #peek(): string {
    return this.#characters[this.#at] ?? "";
  }

  #while(pattern: RegExp): string {
    const start = this.#at;
    while (this.#at < this.#characters.length && pattern.test(this.#peek())) this.#at++;
    return this.#characters.slice(start, this.#at).join("");
  }

  #operator(kind: "sign" | "join", pattern: RegExp, valid: RegExp): Token {
    const literal = this.#while(pattern);
    if (!valid.test(literal)) throw new Refused(`invalid ${kind} operator ${JSON.stringify(literal)}`);
    return { kind, literal };
  }

  #comment(): void {
    if (this.#characters[this.#at + 1] !== "/") throw new Refused("invalid comment");
    this.#while(/[^\n]/);
  }

  #number(): Token {
    const start = this.#at;
    let hadDot = false;
    for (; this.#at < this.#characters.length; this.#at++) {
      const character = this.#peek();
      const isSign = character === "-" && this.#at === start;
      const isDot: boolean = character === "." && !hadDot;
      if (!/\d/.test(character) && !isSign && !isDot) break;
      hadDot ||= isDot;
    }
    const literal = this.#characters.slice(start, this.#at).join("");
    if (literal === "-" || literal.endsWith("."))
      throw new Refused(`invalid number ${JSON.stringify(literal)}`);
    return { kind: "number", literal };
  }

  /** With its quotes. */
  #text(): string {
    const start = this.#at;
    const quote = this.#peek();
    for (this.#at++; this.#at < this.#characters.length; this.#at++) {
      const character = this.#peek();
      if (character === "\\") this.#at++;
      else if (character === quote) {
        this.#at++;
        return this.#characters.slice(start, this.#at).join("");
      }
    }
    throw new Refused(`invalid quoted text ${JSON.stringify(this.#characters.slice(start).join(""))}`);
  }

  /** What stands between the parentheses. */
  #group(): string {
    const start = ++this.#at;
    let open = 1;
    while (this.#at < this.#characters.length) {
      const character = this.#peek();
      if (character === "'" || character === '"') {
        this.#text();
        continue;
      }
      if (character === "(") open++;
      else if (character === ")") open--;
      this.#at++;
      if (open === 0) return this.#characters.slice(start, this.#at - 1).join("");
    }
    throw new Refused(`invalid formatted group - missing ${open} closing bracket(s)`);
  }

  #name(depth: number): Token {
    const literal = this.#peek() + (this.#at++, this.#while(NAME));
    const isValid = !/[.:]$/.test(literal) && !/^[@_#]$/.test(literal);
    if (this.#peek() !== "(") {
      if (!isValid) throw new Refused(`invalid identifier ${JSON.stringify(literal)}`);
      return { kind: "identifier", literal };
    }
    if (depth <= 0) throw new Refused(`max nested function arguments reached (max: ${FUNCTION_DEPTH_MAX})`);
    if (!isValid) throw new Refused(`invalid function name ${JSON.stringify(literal)}`);
    this.#at++;
    this.#arguments(JSON.stringify(literal), depth - 1);
    return { kind: "function", literal };
  }

  #arguments(name: string, depth: number): void {
    let expectsComma = false;
    for (;;) {
      this.#while(BLANK);
      const first = this.#peek();
      if (first === "") throw new Refused(`invalid or incomplete function ${name} (expected ')')`);
      if (first === ")") break;
      if (first === "/") {
        this.#argument("", name, () => this.#comment());
        continue;
      }
      const isComma = first === ",";
      if (expectsComma && !isComma)
        throw new Refused(`expected comma after the last argument in function ${name}`);
      if (!expectsComma && isComma) throw new Refused(`unexpected comma in function ${name}`);
      expectsComma = !isComma;
      if (isComma) this.#at++;
      else if (NAME_START.test(first)) this.#argument("identifier", name, () => this.#name(depth));
      else if (NUMBER_START.test(first)) this.#argument("number", name, () => this.#number());
      else if (first === "'" || first === '"') this.#argument("text", name, () => this.#text());
      else throw new Refused(`unsupported argument character '${first}' in function ${name}`);
    }
    this.#at++;
  }

  #argument(kind: string, name: string, read: () => unknown): void {
    const start = this.#at;
    try {
      read();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const literal = JSON.stringify(this.#literalAt(start, kind));
      const what = kind === "" ? "failed to scan comment" : `invalid ${kind} argument ${literal}`;
      throw new Refused(`${what} in function ${name}: ${error.message}`);
    }
  }

  #literalAt(start: number, kind: string): string {
    const rest = this.#characters.slice(start).join("");
    return kind === "identifier"
      ? (/^.[\w.:]*/.exec(rest)?.[0] ?? "")
      : kind === "number"
        ? (/^-?[\d.]*/.exec(rest)?.[0] ?? "")
        : rest;
  }
}
