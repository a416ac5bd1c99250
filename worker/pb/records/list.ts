/** One page of a collection under its list rule and the client's filter. */
import type { Collection } from "../../../shared/schema/collection.ts";
import type { RecordData } from "../../model/contract.ts";
import type { JsonRow, JsonRows } from "../../model/records/json-row.ts";
import { buildList } from "../../query/list.ts";
import { type ApiError, Reason, badRequest } from "../api-error.ts";
import type { PbContext } from "../route.ts";
import type { RecordScope } from "./scope.ts";
import { clientQuery } from "./rules.ts";

export interface RecordPage {
  /** Empty when the rows were asked for as JSON. */
  records: RecordData[];
  /** The rows as JSON, if so asked. */
  items: JsonRow[] | undefined;
  page: number;
  perPage: number;
  /** -1 when the client skipped counting. */
  totalItems: number;
  totalPages: number;
}

/** @throws ApiError 400 for a malformed number, FilterError for the filter or sort */
export function listRecords(
  scope: RecordScope,
  collection: Collection,
  { parameters }: Pick<PbContext, "parameters">,
  asJson?: JsonRows,
): RecordPage {
  const skipTotal = parseBool(parameters["skipTotal"]);
  const statements = buildList(clientQuery(scope, collection), {
    filter: parameters["filter"] ?? "",
    sort: parameters["sort"] ?? "",
    page: parseInteger(parameters["page"]),
    perPage: parseInteger(parameters["perPage"]),
    skipTotal,
    rule: scope.isSuperuser ? undefined : collection.listRule,
    columns: asJson?.columns,
  });
  const { items, count, page, perPage } = statements;
  const total = count === undefined ? -1 : Number(scope.db.values(count.sql, count.params)[0]?.[0] ?? 0);
  const rows: JsonRow[] = total === 0 ? [] : scope.db.all(items.sql, items.params);
  if (asJson !== undefined) for (const row of rows) asJson.complete(row);
  return {
    records: asJson === undefined ? rows.map((row) => scope.model.fromRow(collection, row)) : [],
    items: asJson === undefined ? undefined : rows,
    page,
    perPage,
    totalItems: total,
    totalPages: total < 0 ? -1 : Math.ceil(total / perPage),
  };
}

/** As Go's `strconv.Atoi`. @throws ApiError 400 */
export function parseInteger(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^[+-]?\d+$/.test(text)) throw unreadable("Atoi", text);
  const value = BigInt(text.replace("+", ""));
  if (value !== BigInt.asIntN(64, value)) throw badRequest();
  return Number(value);
}

/** As Go's `strconv.ParseBool`. @throws ApiError 400 */
export function parseBool(text: string | undefined): boolean {
  if (text === undefined || text === "") return false;
  if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(text)) return false;
  throw unreadable("ParseBool", text);
}

function unreadable(by: string, text: string): ApiError {
  const reason = `strconv.${by}: parsing ${JSON.stringify(text)}: invalid syntax`;
  return badRequest("", undefined, new Reason(reason));
}
