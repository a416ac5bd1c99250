import type { SqlFunction } from "../sqlite/sql-function.ts";

/**
 * What compiled SQL needs of a connection beyond SQLite's own functions: nothing. `geoDistance` and `strftime` compile to
 * built-in functions, of which bun:sqlite has the mathematical ones too.
 */
export const SQL_FUNCTIONS: readonly SqlFunction[] = [];
