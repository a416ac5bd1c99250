import { FilterError } from "../../../shared/filter/error.ts";

const NAME = /^[@\w.:]+/;
const BACK_RELATION = /^\w+_via_(\w+) is no field or back relation/;

/** Why a rule cannot be used, in the words that PocketBase's dashboard shows. */
export function ruleError(error: unknown, rule: string): string {
  if (!(error instanceof FilterError)) return error instanceof Error ? error.message : String(error);
  if (rule.trim() === "") return "empty filter expression";
  if (!error.message.startsWith("Cannot resolve")) return "invalid or incomplete filter expression";
  const [, path = "", state = ""] =
    /^Cannot resolve (\S+(?: \w+)?): (.*?)(?: at character \d+)?$/.exec(error.message) ?? [];
  const comparison = rule.slice(error.position ?? 0);
  const left = NAME.exec(comparison)?.[0] ?? "";
  const named = path === "filter" ? left : path.replace(/^function /, "");
  const isLeft = `.${withoutModifier(left)}`.endsWith(`.${withoutModifier(named)}`);
  const name = isLeft ? left : named;
  const side = isLeft ? "left" : "right";
  return `invalid ${side} operand ${JSON.stringify(name)} - ${reason(state, name)}`;
}

function reason(state: string, name: string): string {
  const backRelation = BACK_RELATION.exec(state);
  if (backRelation !== null) return `missing back relation field ${JSON.stringify(backRelation[1])}`;
  if (state === "unknown function") return `unknown function ${JSON.stringify(name)}`;
  const field =
    / has no field (\S+)$/.exec(state)?.[1] ?? /^(\S+) is no field or back relation/.exec(state)?.[1];
  if (field !== undefined) return `unknown field ${JSON.stringify(field)}`;
  const relation = /^(\S+) is no relation$/.exec(state)?.[1];
  if (relation !== undefined) return `field ${JSON.stringify(relation)} is not a valid relation`;
  const collection = /^no collection (\S+)$/.exec(state)?.[1];
  if (collection !== undefined) {
    return `failed to load collection ${JSON.stringify(collection)} from field path ${JSON.stringify(name)}`;
  }
  if (state.startsWith("unknown modifier")) {
    return `unknown modifier in ${JSON.stringify(name.split(".").at(-1) ?? "")}`;
  }
  return state === "unknown name" ? `failed to resolve field ${JSON.stringify(name)}` : state;
}

function withoutModifier(name: string): string {
  return name.split(":")[0] ?? "";
}
