import { FilterError } from "../../shared/filter/error.ts";
import { limits } from "../../shared/limits.ts";
import { isMultiple, type Collection, type Field } from "../../shared/schema/collection.ts";
import { joinClauses } from "./compare.ts";
import { quote, raw, sql, type Fragment } from "./fragment.ts";
import { jsonEach, jsonExtract, jsonLength } from "./json.ts";
import { column, NULL_OPERAND, type Join, type Resolved } from "./resolved.ts";
import { findField, isArrayLike, splitModifier, uniqueIndex, type Scope } from "./scope.ts";

/** Where a path starts. */
export interface PathStart {
  readonly collection: Collection;
  readonly alias: string;
  /** The joins that bring the starting table in; none for the base table. `alias` is filled in for both views. */
  readonly joins: (alias: string) => Join[];
  readonly many: boolean;
  /** An unknown field is NULL (`@request.*`) and not an error. */
  readonly lenient: boolean;
  /** The starting row does not depend on the base row, so that the value may be computed once as a subquery. */
  readonly detached: boolean;
}

/**
 * Follows `author.company.name:lower` from a table and joins what it crosses, once for the statement itself and once,
 * with aliases of their own, for the subquery that holds every value to the comparison (pocketbase.md §6, multi-match).
 */
export function resolvePath(
  scope: Scope,
  start: PathStart,
  props: readonly string[],
  side: "<" | ">",
): Resolved {
  return new PathWalk(scope, start, props, side).resolve();
}

class PathWalk {
  readonly #scope: Scope;
  readonly #start: PathStart;
  readonly #props: readonly string[];
  readonly #side: "<" | ">";
  #collection: Collection;
  #alias: string;
  #manyAlias: string;
  #many: boolean;
  readonly #joins: Join[];
  readonly #manyJoins: Join[];
  /** Collections joined on the way, by alias. */
  readonly #crossed = new Map<string, Collection>();

  constructor(scope: Scope, start: PathStart, props: readonly string[], side: "<" | ">") {
    this.#scope = scope;
    this.#start = start;
    this.#props = props;
    this.#side = side;
    this.#collection = start.collection;
    this.#alias = start.alias;
    this.#many = start.many;
    this.#joins = start.joins(start.alias);
    // The base row is the statement's own; any other starting table is joined again.
    this.#manyAlias = this.#joins.length === 0 ? start.alias : side + start.alias;
    this.#manyJoins = this.#joins.length === 0 ? [] : start.joins(this.#manyAlias);
    if (this.#joins.length > 0) this.#crossed.set(start.alias, start.collection);
  }

  resolve(): Resolved {
    const last = this.#props.length - 1;
    for (const [index, prop] of this.#props.entries()) {
      if (index === last) return this.#last(prop);
      const field = findField(this.#collection, prop);
      if (field !== undefined) this.#refuseHidden(field);
      if (field?.type === "json" || field?.type === "geoPoint") {
        return this.#json(field, this.#props.slice(index + 1));
      }
      if (index >= limits.relationDepthMax) throw this.#error(`too many relations before ${prop}`);
      if (field === undefined) {
        if (!this.#crossBack(prop)) return NULL_OPERAND;
      } else if (field.type !== "relation") {
        throw this.#error(`${prop} is no relation`);
      } else if (!isMultiple(field) && index === last - 1 && this.#props[last] === "id") {
        this.#targetOf(field);
        return this.#last(prop); // the column holds the id already
      } else {
        this.#cross(field);
      }
    }
    throw this.#error("empty path");
  }

  #targetOf(field: Field): Collection {
    const target = this.#scope.statement.schema.find(String(field["collectionId"]));
    if (target === undefined) throw this.#error(`no collection that ${field.name} relates to`);
    return target;
  }

  #cross(field: Field): void {
    const target = this.#targetOf(field);
    // The ids of a view's rows need not be unique.
    const multiplies = target.type === "view";
    const step = (alias: string, next: string): Join[] => {
      const ids = columnOf(alias, field.name);
      const source = raw(quote(target.name));
      const id = columnOf(next, "id");
      if (!isMultiple(field)) return [{ alias: next, source, on: sql`${id} = ${ids}`, multiplies }];
      const each = `${next}[]`;
      return [
        { alias: each, source: jsonEach(ids), multiplies: true },
        { alias: next, source, on: sql`${id} = ${columnOf(each, "value")}`, multiplies },
      ];
    };
    if (isMultiple(field)) this.#many = true;
    this.#advance(field.name, target, step);
  }

  /** `comments_via_post`: the rows of a collection whose relation points here. False where a lenient path ends in NULL. */
  #crossBack(prop: string): boolean {
    const [, collectionName, fieldName = ""] = /^(\w+)_via_(\w+)$/.exec(prop) ?? [];
    const target =
      collectionName === undefined ? undefined : this.#scope.statement.schema.find(collectionName);
    const field = target === undefined ? undefined : findField(target, fieldName);
    if (target === undefined || field?.type !== "relation" || field["collectionId"] !== this.#collection.id) {
      if (this.#start.lenient) return false;
      if (collectionName === undefined)
        throw this.#error(`${prop} is no field or back relation of ${this.#collection.name}`);
      if (target === undefined) throw this.#error(`no collection for the back relation ${prop}`);
      if (field === undefined) throw this.#error(`no field for the back relation ${fieldName}`);
      throw this.#error(
        `the back relation ${fieldName} is ${field.type === "relation" ? "to another collection" : "no relation"}`,
      );
    }
    this.#refuseHidden(field);
    const unique = uniqueIndex(target, field.name);
    const step = (alias: string, next: string): Join[] => {
      const id = columnOf(alias, "id");
      const ids = columnOf(next, field.name);
      const each = quote(`${next}[]`);
      const on = isMultiple(field)
        ? sql`${id} IN (SELECT ${each}."value" FROM ${jsonEach(ids)} AS ${each})`
        : sql`${ids} = ${id}`;
      return [
        {
          alias: next,
          source: raw(quote(target.name)),
          on,
          multiplies: isMultiple(field) || unique !== "full",
        },
      ];
    };
    if (isMultiple(field) || unique === "none") this.#many = true;
    this.#advance(prop, target, step);
    return true;
  }

  #advance(prop: string, target: Collection, step: (alias: string, next: string) => Join[]): void {
    const next = `${this.#alias}.${prop}${this.#scope.suffix}`;
    const manyNext = `${this.#manyAlias.startsWith(this.#side) ? "" : this.#side}${this.#manyAlias}.${prop}${this.#scope.suffix}`;
    this.#joins.push(...step(this.#alias, next));
    this.#manyJoins.push(...step(this.#manyAlias, manyNext));
    this.#crossed.set(next, target);
    this.#collection = target;
    this.#alias = next;
    this.#manyAlias = manyNext;
  }

  #last(prop: string): Resolved {
    const [name, modifier] = splitModifier(prop);
    const field = findField(this.#collection, name);
    if (field === undefined) {
      if (this.#start.lenient) return NULL_OPERAND;
      throw this.#error(`${this.#collection.name} has no field ${name}`);
    }
    this.#refuseHidden(field);
    if (modifier === "length" && isArrayLike(field)) {
      return this.#finish((alias) => jsonLength(columnOf(alias, name)), "auto");
    }
    if (modifier === "each" && isArrayLike(field)) return this.#each(field);
    const value = (alias: string): Fragment => {
      const plain = field.type === "json" ? jsonExtract(columnOf(alias, name), "") : columnOf(alias, name);
      return modifier === "lower" ? sql`LOWER(${plain})` : plain;
    };
    const resolved = this.#finish(value, field.type === "json" ? "strict" : "auto");
    if (name !== "email" || this.#collection.type !== "auth" || this.#scope.allowHidden) return resolved;
    return { ...resolved, and: sql`${columnOf(this.#alias, "emailVisibility")} = TRUE` };
  }

  #each(field: Field): Resolved {
    const step = (alias: string, each: string): Join => ({
      alias: each,
      source: jsonEach(columnOf(alias, field.name)),
      multiplies: true,
    });
    const each = `${this.#alias}.${field.name}:each${this.#scope.suffix}`;
    const manyEach = `${this.#side}${each}`;
    this.#joins.push(step(this.#alias, each));
    this.#manyJoins.push(step(this.#manyAlias, manyEach));
    this.#alias = each;
    this.#manyAlias = manyEach;
    if (isMultiple(field)) this.#many = true;
    return this.#finish((alias) => columnOf(alias, "value"), "auto");
  }

  #json(field: Field, keys: readonly string[]): Resolved {
    const path = keys
      .map((key) => (/^\d+$/.test(key) ? `[${key}]` : `.${key.replaceAll(/[^\w#@]/g, "")}`))
      .join("");
    if (/\.(?:\.|\[|$)/.test(path)) throw this.#error(`empty key in the path into ${field.name}`);
    return this.#finish((alias) => jsonExtract(columnOf(alias, field.name), path), "strict");
  }

  /** Puts the joins into the statement, or, where a single value is certain, computes it apart from it. */
  #finish(value: (alias: string) => Fragment, nulls: Resolved["nulls"]): Resolved {
    const first = this.#joins[0];
    const single = !this.#many && !this.#joins.some((step) => step.multiplies);
    const { statement, allowHidden } = this.#scope;
    if (statement.detach && this.#start.detached && allowHidden && single && first?.on !== undefined) {
      const rest = joinClauses(this.#joins.slice(1));
      const from = sql`${first.source} AS ${quote(first.alias)}${rest}`;
      return { ...column(sql`(SELECT ${value(this.#alias)} FROM ${from} WHERE ${first.on})`), nulls };
    }
    for (const step of this.#joins) statement.join(step);
    if (!allowHidden) {
      for (const [alias, collection] of this.#crossed) {
        if (collection.listRule === null) throw this.#error(`${collection.name} may not be listed`);
        statement.guarded.set(alias, collection);
      }
    }
    const many = this.#many ? { joins: this.#manyJoins, value: value(this.#manyAlias) } : undefined;
    return { ...column(value(this.#alias), many), nulls };
  }

  #refuseHidden(field: Field): void {
    if (field.hidden && !this.#scope.allowHidden) throw this.#error(`${field.name} cannot be filtered by`);
  }

  #error(state: string): FilterError {
    return new FilterError(`Cannot resolve ${this.#props.join(".")}: ${state}`);
  }
}

export function columnOf(alias: string, name: string): Fragment {
  return raw(`${quote(alias)}.${quote(name)}`);
}
