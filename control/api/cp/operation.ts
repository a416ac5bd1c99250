import type { Context, Hono } from "hono";
import { z } from "zod";
import type { OperatorScope } from "../../domain/records.ts";
import type { Control } from "../../service.ts";
import { readBody, readQuery } from "../http.ts";
import { scope } from "./bearer.ts";
import type { CpEnv, Operator } from "./operator.ts";

export interface Call<Body, Query> {
  control: Control;
  operator: Operator;
  param: (name: string) => string;
  header: (name: string) => string | undefined;
  body: Body;
  query: Query;
  /** Aborts when the caller goes away. */
  signal: AbortSignal;
}

/** One operation of the operators' API: what is mounted and what the OpenAPI document says come from the same record. */
export interface OperationSpec<Body extends z.ZodType, Query extends z.ZodObject, Answer extends z.ZodType> {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Below `/api/cp`; parameters as `:name`. */
  path: string;
  summary: string;
  scope: OperatorScope;
  /** A missing body is read as an empty object. */
  body?: Body;
  query?: Query;
  answer: Answer;
  /** Of success; default 200. */
  status?: 200 | 201;
  /** Takes an Idempotency-Key. */
  idempotent?: true;
  /** `status` 202: it goes on after the answer. */
  handle(call: Call<z.output<Body>, z.output<Query>>): Promise<{ value: z.output<Answer>; status?: 202 }>;
}

/** An operation whose schemas are its own business. */
export interface Operation {
  readonly spec: Pick<
    OperationSpec<z.ZodType, z.ZodObject, z.ZodType>,
    "method" | "path" | "summary" | "scope" | "body" | "query" | "answer" | "status" | "idempotent"
  >;
  mount(app: Hono<CpEnv>, control: Control): void;
}

const nothing = z.object({});

export function operation<
  Answer extends z.ZodType,
  Body extends z.ZodType = typeof nothing,
  Query extends z.ZodObject = typeof nothing,
>(spec: OperationSpec<Body, Query, Answer>): Operation {
  return {
    spec,
    mount(app, control) {
      app.on(spec.method, spec.path, scope(spec.scope), async (context: Context<CpEnv>) => {
        const { value, status = spec.status ?? 200 } = await spec.handle({
          control,
          operator: context.get("operator"),
          param: (name) => context.req.param(name) ?? "",
          header: (name) => context.req.header(name),
          body: (spec.body === undefined ? {} : await readBody(context, spec.body)) as z.output<Body>,
          query: (spec.query === undefined ? {} : readQuery(context, spec.query)) as z.output<Query>,
          signal: context.req.raw.signal,
        });
        return context.json(value as object, status);
      });
    },
  };
}
