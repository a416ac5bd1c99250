import { LRUCache } from "lru-cache";
import { limits } from "../limits.ts";
import type { Comparison, Filter, FilterOperator, Group, GroupItem, Operand } from "./ast.ts";
import { FilterError } from "./error.ts";
import { tokenize, type Token, type TokenType } from "./lexer.ts";

const parsed = new LRUCache<string, Filter>({ max: limits.filterParsesMax });

/**
 * Parses a filter or rule. Results are cached by text and shared: they are immutable.
 * @throws FilterError for text that is empty, not of the grammar, nested too deep, or of too many comparisons.
 */
export function parseFilter(source: string): Filter {
  let filter = parsed.get(source);
  if (filter === undefined) {
    filter = new Parser(tokenize(source)).filter();
    parsed.set(source, filter);
  }
  return filter;
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #literals: (string | number)[] = [];
  #at = 0;
  #comparisons = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  filter(): Filter {
    const root = this.#group(0, "end");
    return { root, literals: this.#literals, shape: shapeOf(this.#tokens) };
  }

  /** Items up to the closing token, which is consumed. Like PocketBase, a parenthesis may follow an item without a join of its own. */
  #group(depth: number, closing: TokenType): Group {
    if (depth > limits.filterDepthMax) throw this.#error("nested too deep");
    const items: GroupItem[] = [];
    let join: "&&" | "||" = "&&";
    for (;;) {
      const position = this.#peek().position;
      if (this.#accept("(")) items.push({ join, item: this.#group(depth + 1, ")") });
      else items.push({ join, item: this.#comparison(position) });
      if (this.#accept(closing)) return { type: "group", items };
      if (this.#peek().type === "(") continue;
      const joined = this.#accept("join");
      if (joined === undefined) throw this.#error("expected && or ||");
      join = joined.value === "||" ? "||" : "&&";
    }
  }

  #comparison(position: number): Comparison {
    const left = this.#operand(0, "a left operand");
    const operator = this.#accept("operator");
    if (operator === undefined) throw this.#error("expected an operator");
    const right = this.#operand(0, "a right operand");
    this.#comparisons += 1;
    if (this.#comparisons > limits.filterExpressionsMax) throw this.#error("too many comparisons");
    const any = operator.value.startsWith("?");
    const sign = (any ? operator.value.slice(1) : operator.value) as FilterOperator;
    return { type: "comparison", left, operator: sign, any, right, position };
  }

  #operand(depth: number, expected: string): Operand {
    const token = this.#peek();
    const { position } = token;
    switch (token.type) {
      case "identifier":
        this.#at += 1;
        return { type: "identifier", name: token.value, position };
      case "text":
        this.#at += 1;
        return { type: "text", value: token.value, literal: this.#literals.push(token.value) - 1, position };
      case "number": {
        this.#at += 1;
        const value = Number(token.value);
        if (!Number.isFinite(value))
          throw new FilterError("Cannot parse filter: number out of range", position);
        return { type: "number", value, literal: this.#literals.push(value) - 1, position };
      }
      case "function": {
        if (depth >= limits.filterFunctionDepthMax) throw this.#error("functions nested too deep");
        this.#at += 1;
        const args: Operand[] = [];
        // A comma before the closing parenthesis is allowed.
        while (this.#accept(")") === undefined) {
          args.push(this.#operand(depth + 1, "an argument"));
          if (this.#accept(",") === undefined && this.#peek().type !== ")")
            throw this.#error("expected , or )");
        }
        return { type: "function", name: token.value, args, position };
      }
      default:
        throw this.#error(`expected ${expected}`);
    }
  }

  #peek(): Token {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new FilterError("Cannot parse filter: unexpected end");
    return token;
  }

  #accept(type: TokenType): Token | undefined {
    const token = this.#peek();
    if (token.type !== type) return undefined;
    this.#at += 1;
    return token;
  }

  #error(state: string): FilterError {
    const token = this.#peek();
    const found = token.type === "end" ? "the end" : token.value;
    return new FilterError(`Cannot parse filter: ${state}, got ${found}`, token.position);
  }
}

function shapeOf(tokens: readonly Token[]): string {
  let shape = "";
  for (const token of tokens) {
    if (token.type === "text") shape += token.value === "" ? " ''" : " '?'";
    else if (token.type === "number") shape += " 0";
    else if (token.type === "function") shape += ` ${token.value}(`;
    else shape += ` ${token.value}`;
  }
  return shape;
}
