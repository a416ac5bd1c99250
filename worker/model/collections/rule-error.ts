import type { Comparison, Group, Operand } from "../../../shared/filter/ast.ts";
import { FilterError } from "../../../shared/filter/error.ts";
import { parseFilter } from "../../../shared/filter/parse.ts";
import { syntaxError } from "./rule-syntax.ts";

/** Why a rule cannot be used, in the words that PocketBase's dashboard shows. */
export function ruleError(error: unknown, rule: string): string {
  if (!(error instanceof FilterError)) return error instanceof Error ? error.message : String(error);
  if (!error.message.startsWith("Cannot resolve")) {
    const told = syntaxError(rule);
    if (told !== undefined) return told;
    return error.message.includes("too many comparisons")
      ? "max filter expressions limit reached"
      : "invalid or incomplete filter expression";
  }
  const [, state] = parts(error.message);
  const comparison = comparisonAt(parseFilter(rule).root, error.position ?? 0);
  if (comparison === undefined) return state;
  const { left, right } = comparison;
  const isLeft = error.position !== right.position;
  const name = nameOf(isLeft ? left : right);
  return `invalid ${isLeft ? "left" : "right"} operand ${JSON.stringify(name)} - ${reason(state, name)}`;
}

/** `Cannot resolve <path>: <state> at character <n>`. */
function parts(message: string): [string, string] {
  const [, path = "", state = ""] =
    /^Cannot resolve (\S+(?: \w+)?): (.*?)(?: at character \d+)?$/.exec(message) ?? [];
  return [path, state];
}

/** The one that begins last at or before a position. */
function comparisonAt(group: Group, position: number): Comparison | undefined {
  let found: Comparison | undefined;
  for (const { item } of group.items) {
    const inside = item.type === "group" ? comparisonAt(item, position) : item;
    if (inside !== undefined && inside.position <= position) found = inside;
  }
  return found;
}

function nameOf(operand: Operand): string {
  return "name" in operand ? operand.name : String(operand.value);
}

/** What the states of `worker/query` are called; "$" stands for the name that the pattern has found. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/^no collection for the back relation (\S+)$/, "failed to load back relation field $ collection"],
  [/^no field for the back relation (\S+)$/, "missing back relation field $"],
  [/^no collection that (\S+) relates to$/, "failed to load field $ collection"],
  [/^the back relation (\S+) is no relation$/, "invalid back relation field $"],
  [
    /^the back relation (\S+) is to another collection$/,
    "invalid collection reference of a back relation field $",
  ],
  [/^(\S+) is no field or back relation/, "failed to resolve field $"],
  [/ has no field (\S+)$/, "unknown field $"],
  [/^(\S+) is no relation$/, "field $ is not a valid relation"],
  [/^too many relations before (\S+)$/, "max nested relations reached for field $"],
];

function reason(state: string, name: string): string {
  if (/^(?:expect|argument|failed|too many arg|invalid modifier)/.test(state))
    return `[${name}] ${inCall(state)}`;
  for (const [pattern, text] of REASONS) {
    const found = pattern.exec(state)?.[1];
    if (found !== undefined) return text.replace("$", () => JSON.stringify(found));
  }
  const last = name.split(".").at(-1) ?? "";
  const [collection] = /(?<=^no collection )\S+$/.exec(state) ?? [];
  if (collection !== undefined) {
    return `failed to load collection ${JSON.stringify(collection)} from field path ${JSON.stringify(name)}`;
  }
  if (state === "unknown function") return `unknown function ${JSON.stringify(name)}`;
  if (state.startsWith("unknown modifier")) return `unknown modifier in ${JSON.stringify(last)}`;
  if (state === "the modifier does not apply") return `invalid modifier sequence ${last}`;
  if (state === "no list of values") {
    return `field ${JSON.stringify(withoutModifier(last))} doesn't support multivalue operations`;
  }
  return state === "unknown name" ? `failed to resolve field ${JSON.stringify(name)}` : state;
}

/** An argument's own reason stands behind the function's. */
function inCall(state: string): string {
  const [, which, inner] = /^(failed to resolve .*?): (Cannot resolve .*)$/.exec(state) ?? [];
  if (which === undefined || inner === undefined) return state;
  const [path, innerState] = parts(inner);
  return `${which}: ${reason(innerState, path)}`;
}

function withoutModifier(name: string): string {
  return name.split(":")[0] ?? "";
}
