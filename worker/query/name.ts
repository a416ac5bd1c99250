import { FilterError } from "../../shared/filter/error.ts";
import type { Comparison } from "../../shared/filter/ast.ts";
import { isMultiple, type Collection, type Field } from "../../shared/schema/collection.ts";
import { toText } from "../model/fields/cast.ts";
import { compare } from "./compare.ts";
import { bound, quote, raw, sql, type Env } from "./fragment.ts";
import { MACROS } from "./macros.ts";
import { columnOf, resolvePath, type PathStart } from "./path.ts";
import {
  column,
  FALSE_OPERAND,
  integerOperand,
  NULL_OPERAND,
  textOperand,
  TRUE_OPERAND,
  type Join,
  type Resolved,
} from "./resolved.ts";
import { findField, isArrayLike, splitModifier, type Scope } from "./scope.ts";
import { resolveStatic } from "./static.ts";
import { items, likePattern, relationIds } from "./values.ts";
import { canonicalJson } from "./canonical-json.ts";

type Side = "<" | ">";

const FORMS = [
  /^\w+[\w.:]*$/,
  /^@request\.(?:context|method)$/,
  /^@request\.(?:auth|body|query|headers)\.[\w.:]*\w+$/,
  /^@collection\.\w+(?::\w+)?\.[\w.:]*\w+$/,
];

const CONSTANTS: ReadonlyMap<string, Resolved> = new Map([
  ["null", NULL_OPERAND],
  ["true", TRUE_OPERAND],
  ["false", FALSE_OPERAND],
]);

/** Any identifier of a filter: a macro, a field path, `@request.…`, `@collection.…`, or `true`, `false`, `null`. */
export function resolveName(scope: Scope, name: string, side: Side): Resolved {
  const macro = MACROS.get(name);
  if (macro !== undefined) {
    const getter = (env: Env) => macro(env.now);
    return typeof macro(new Date(0)) === "number" ? integerOperand(getter) : textOperand(getter, false);
  }
  const constant = CONSTANTS.get(name.toLowerCase());
  // A field of that name wins.
  if (constant !== undefined && findField(scope.base, name) === undefined) return constant;
  if (!FORMS.some((form) => form.test(name))) throw new FilterError(`Cannot resolve ${name}: unknown name`);
  const props = name.split(".");
  const [root, second = "", third = ""] = props;
  if (root === "@collection") return resolveCollection(scope, second, props.slice(2), side);
  if (root === "@request" && second === "auth") return resolveAuth(scope, props, side);
  if (root === "@request" && second === "body") return resolveBody(scope, third, props, side);
  if (root === "@request") return resolveStatic(scope, props.slice(1));
  return resolvePath(scope, baseStart(scope), props, side);
}

export function baseStart(scope: Scope): PathStart {
  const { base, alias } = scope;
  return { collection: base, alias, joins: () => [], many: false, lenient: false, detached: false };
}

/** `@collection.posts:alias.title`: every row of the collection; the same alias is the same row in all comparisons. */
function resolveCollection(scope: Scope, reference: string, props: readonly string[], side: Side): Resolved {
  const [name = "", alias = ""] = reference.split(":");
  const collection = scope.statement.collection(name);
  const source = raw(quote(collection.name));
  const start: PathStart = {
    collection,
    alias: alias === "" ? `@${collection.name}${scope.suffix}` : `@:${alias}${scope.suffix}`,
    joins: (as) => [{ alias: as, source, multiplies: true }],
    many: true,
    lenient: false,
    detached: false,
  };
  return resolvePath(scope, start, props, side);
}

/** What is asked most is taken from the request; the rest is read from the auth record as it is now. */
const PLAIN_AUTH = new Set(["id", "collectionId", "collectionName", "email", "emailVisibility", "verified"]);

function resolveAuth(scope: Scope, props: readonly string[], side: Side): Resolved {
  const { statement } = scope;
  const collectionId = statement.decisions.decide((env) => env.request.auth?.collection.id ?? "");
  if (collectionId === "") return NULL_OPERAND;
  if (props.length === 3 && PLAIN_AUTH.has(props[2] ?? "")) return resolveStatic(scope, props.slice(1));
  const collection = statement.collection(collectionId);
  const source = raw(quote(collection.name));
  const id = bound((env) => toText(env.request.auth?.record["id"]));
  const start: PathStart = {
    collection,
    alias: `@auth${scope.suffix}`,
    joins: (alias) => [{ alias, source, on: sql`${columnOf(alias, "id")} = ${id}`, multiplies: false }],
    many: false,
    lenient: true,
    detached: true,
  };
  return resolvePath(scope, start, props.slice(2), side);
}

function resolveBody(scope: Scope, prop: string, props: readonly string[], side: Side): Resolved {
  const [name, modifier] = splitModifier(prop);
  const field = findField(scope.base, name);
  if (field === undefined) return resolveStatic(scope, props.slice(1));
  if (field.type === "relation" && props.length > 3)
    return resolveBodyRelation(scope, field, props.slice(3), side);
  if (props.length > 3) return resolveStatic(scope, props.slice(1));
  switch (modifier) {
    case "each":
      return resolveBodyEach(scope, arrayLike(field), side);
    case "length":
      arrayLike(field);
      return column(bound((env) => items(env.request.body[name]).length));
    case "lower": {
      const text = (env: Env) => toText(env.request.body[name]);
      const empty = scope.statement.decisions.decide((env) => text(env) === "");
      const like = sql`LOWER(${bound((env) => likePattern(text(env)))})`;
      return { value: sql`LOWER(${bound(text)})`, nulls: "auto", empty, known: !empty, like };
    }
    case "changed":
      return resolveBodyChanged(scope, name, side);
    default:
      return resolveStatic(scope, props.slice(1));
  }
}

function arrayLike(field: Field): Field {
  if (!isArrayLike(field))
    throw new FilterError(`Cannot resolve @request.body.${field.name}: no list of values`);
  return field;
}

/** Submitted, and with another value than the field has. */
function resolveBodyChanged(scope: Scope, name: string, side: Side): Resolved {
  const submitted = resolveStatic(scope, ["body", `${name}:isset`]);
  const value = resolveStatic(scope, ["body", name]);
  const stored = resolvePath(scope, baseStart(scope), [name], side);
  const operator: Comparison["operator"] = "!=";
  const isset = compare(submitted, "=", false, TRUE_OPERAND);
  return { ...column(sql`(${isset} AND ${compare(value, operator, false, stored)})`), nulls: "strict" };
}

function resolveBodyEach(scope: Scope, field: Field, side: Side): Resolved {
  const list = bound((env) => canonicalJson(items(env.request.body[field.name])));
  const step = (alias: string): Join => ({ alias, source: sql`json_each(${list})`, multiplies: true });
  const alias = `@body.${field.name}:each${scope.suffix}`;
  scope.statement.join(step(alias));
  const resolved = { ...column(columnOf(alias, "value")), known: true };
  if (!isMultiple(field)) return resolved;
  const manyAlias = side + alias;
  return { ...resolved, many: { joins: [step(manyAlias)], value: columnOf(manyAlias, "value") } };
}

/** `@request.body.author.name`: the records that the submitted ids name. */
function resolveBodyRelation(scope: Scope, field: Field, props: readonly string[], side: Side): Resolved {
  const { statement } = scope;
  const collection: Collection = statement.collection(String(field["collectionId"]));
  const submitted = (env: Env) => relationIds(env.request.body[field.name]);
  const count = statement.decisions.decide((env) => Math.min(submitted(env).length, 2));
  if (count === 0) return NULL_OPERAND;
  const source = raw(quote(collection.name));
  const ids =
    count === 1
      ? sql`= ${bound((env) => submitted(env)[0] ?? "")}`
      : sql`IN (SELECT value FROM json_each(${bound((env) => JSON.stringify(submitted(env)))}))`;
  const start: PathStart = {
    collection,
    alias: `@body.${field.name}${scope.suffix}`,
    joins: (alias) => [{ alias, source, on: sql`${columnOf(alias, "id")} ${ids}`, multiplies: count > 1 }],
    many: isMultiple(field),
    lenient: true,
    detached: true,
  };
  return resolvePath(scope, start, props, side);
}
