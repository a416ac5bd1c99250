/** Functions whose cost for one row is bounded by the size of that row. */
const FUNCTIONS = new Set(
  (
    "abs avg cast ceil coalesce count date datetime exists floor ifnull iif in instr json_array_length json_extract json_type julianday " +
    "length lower ltrim max min nullif over rank dense_rank row_number round rtrim sign strftime substr substring sum time total " +
    "trim typeof unixepoch upper as from select where and or not on using join then when else values union all by"
  ).split(" "),
);

/** Whether each row of a view costs little: others may build a text of a gigabyte for a single one. */
export function isSafeView(query: string): boolean {
  for (const [, name = ""] of query.matchAll(
    /([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)["`\]]?\s*(?:\/\*[\s\S]*?\*\/|--[^\n]*\n|\s)*\(/g,
  )) {
    if (!FUNCTIONS.has(name.toLowerCase())) return false;
  }
  return true;
}
