import { z } from "zod";
import { UserError } from "../../../shared/errors.ts";
import { type Incarnation, parseIncarnation } from "../../../shared/ids.ts";
import { workerViewSchema } from "../../../shared/protocol/cp.ts";
import { emptyWorker, removeWorker } from "../../domain/end-worker.ts";
import { workerKey } from "../../domain/keys.ts";
import type { WorkerRecord } from "../../domain/records.ts";
import type { Control } from "../../service.ts";
import { type Operation, operation } from "./operation.ts";
import { auditName } from "./operator.ts";
import { workerView, workerViews } from "./worker-views.ts";

const removeQuerySchema = z.object({ force: z.enum(["true", "false"]).default("false") });

export const workerOperations: readonly Operation[] = [
  operation({
    method: "GET",
    path: "/workers",
    summary: "List workers, newest first",
    scope: "read",
    answer: z.object({ workers: z.array(workerViewSchema) }),
    handle: ({ control }) => Promise.resolve({ value: { workers: workerViews(control) } }),
  }),
  operation({
    method: "GET",
    path: "/workers/:incarnation",
    summary: "Look at a worker",
    scope: "read",
    answer: workerViewSchema,
    handle: async ({ control, param }) => ({
      value: workerView(control, knownWorker(control, incarnationOf(param("incarnation")))),
    }),
  }),
  operation({
    method: "POST",
    path: "/workers/:incarnation/drain",
    summary: "Move all tenants of a worker to others while they serve; it takes no new ones",
    scope: "write",
    answer: workerViewSchema,
    async handle({ control, operator, param }) {
      const { runner } = control;
      const incarnation = incarnationOf(param("incarnation"));
      const meta = runner.meta(auditName(operator));
      const worker = await runner.run((view) => emptyWorker(view, meta, incarnation));
      return { value: workerView(control, worker) };
    },
  }),
  operation({
    method: "DELETE",
    path: "/workers/:incarnation",
    summary: "Forget a worker that has ended; with force, give up one that serves as if it had died",
    scope: "write",
    query: removeQuerySchema,
    answer: z.object({ removed: z.boolean() }),
    async handle({ control, operator, param, query: { force } }) {
      const { runner } = control;
      const incarnation = incarnationOf(param("incarnation"));
      const meta = runner.meta(auditName(operator));
      const removed = await runner.run((view) => removeWorker(view, meta, incarnation, force === "true"));
      return { value: { removed } };
    },
  }),
];

function incarnationOf(raw: string): Incarnation {
  try {
    return parseIncarnation(raw);
  } catch {
    throw noSuchWorker(raw.slice(0, 20));
  }
}

function knownWorker({ table }: Control, incarnation: Incarnation): WorkerRecord {
  const worker = table.get(workerKey(incarnation));
  if (worker === undefined || worker.removed !== undefined) throw noSuchWorker(String(incarnation));
  return worker;
}

function noSuchWorker(name: string): UserError {
  return new UserError("worker_not_found", `Cannot find worker ${name}: it is not known`);
}
