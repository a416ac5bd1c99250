/** Requests of the Hrana protocol over HTTP, versions 2 and 3, in JSON (libSQL's HRANA_2_SPEC and HRANA_3_SPEC). */
import { z } from "zod";
import { limits } from "../../shared/limits.ts";
import { type HranaValue, hranaValueSchema } from "./value.ts";

const sqlSource = {
  sql: z.string().max(limits.sqlTextCharactersMax).nullish(),
  sql_id: z.int().nullish(),
};

const statementSchema = z.object({
  ...sqlSource,
  args: z.array(hranaValueSchema).max(limits.sqlParametersMax).nullish(),
  named_args: z
    .array(z.object({ name: z.string(), value: hranaValueSchema }))
    .max(limits.sqlParametersMax)
    .nullish(),
  want_rows: z.boolean().nullish(),
});
export type HranaStatement = z.infer<typeof statementSchema>;

export type HranaCondition =
  | { type: "ok" | "error"; step: number }
  | { type: "not"; cond: HranaCondition }
  | { type: "and" | "or"; conds: HranaCondition[] }
  | { type: "is_autocommit" };

const conditionSchema: z.ZodType<HranaCondition> = z.lazy(() =>
  z.discriminatedUnion("type", [
    z.object({ type: z.enum(["ok", "error"]), step: z.int().min(0) }),
    z.object({ type: z.literal("not"), cond: conditionSchema }),
    z.object({ type: z.enum(["and", "or"]), conds: z.array(conditionSchema) }),
    z.object({ type: z.literal("is_autocommit") }),
  ]),
);

const batchSchema = z.object({
  steps: z
    .array(z.object({ condition: conditionSchema.nullish(), stmt: statementSchema }))
    .max(limits.sqlBatchStepsMax),
});
export type HranaBatch = z.infer<typeof batchSchema>;

const streamRequestSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("close") }),
  z.object({ type: z.literal("execute"), stmt: statementSchema }),
  z.object({ type: z.literal("batch"), batch: batchSchema }),
  z.object({ type: z.literal("sequence"), ...sqlSource }),
  z.object({ type: z.literal("describe"), ...sqlSource }),
  z.object({
    type: z.literal("store_sql"),
    sql_id: z.int(),
    sql: z.string().max(limits.sqlTextCharactersMax),
  }),
  z.object({ type: z.literal("close_sql"), sql_id: z.int() }),
  z.object({ type: z.literal("get_autocommit") }),
]);
export type HranaRequest = z.infer<typeof streamRequestSchema>;

export const pipelineSchema = z.object({
  baton: z.string().max(128).nullish(),
  requests: z.array(streamRequestSchema).max(limits.sqlRequestsMax),
});

export const cursorSchema = z.object({ baton: z.string().max(128).nullish(), batch: batchSchema });

export interface HranaError {
  message: string;
  code: string;
}

export interface HranaResult {
  cols: { name: string; decltype: string | null }[];
  rows: HranaValue[][];
  affected_row_count: number;
  last_insert_rowid: string | null;
  rows_read: number;
  rows_written: number;
  query_duration_ms: number;
}
