import { z } from "zod";
import { limits } from "../../../shared/limits.ts";
import { auditEntrySchema, healthSchema, memberViewSchema } from "../../../shared/protocol/cp.ts";
import { VERSION } from "../../../shared/version.ts";
import { oldestPart } from "../../domain/cluster-version.ts";
import { listAudit } from "../../domain/list-audit.ts";
import { type Operation, operation } from "./operation.ts";

const text = z.string().max(255).optional();
const auditQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(limits.auditPageMax).default(limits.auditPageDefault),
  before: z
    .string()
    .regex(/^[0-9a-f]{16}-[a-z0-9-]{1,64}$/)
    .optional(),
  subject: text,
  action: text,
  who: text,
});

export const platformOperations: readonly Operation[] = [
  operation({
    method: "GET",
    path: "/health",
    summary: "Whether the state can be read and changed, and what there is",
    scope: "read",
    answer: healthSchema,
    async handle({ control: { table, runner, leadership, scaling, store } }) {
      await runner.confirm(AbortSignal.timeout(limits.controlRequestMs));
      const [members, { self }] = await Promise.all([store.members(), store.health()]);
      const own = { version: VERSION, who: `control ${self}` };
      const workers: Record<string, number> = {};
      for (const { state, removed } of table.workers())
        if (removed === undefined) workers[state] = (workers[state] ?? 0) + 1;
      const wanted = scaling.current;
      return {
        value: {
          status: "ok" as const,
          revision: table.revision,
          leading: leadership.current !== undefined,
          tenants: Object.fromEntries([...table.states()].filter(([, count]) => count > 0)),
          moving: table.moving().size,
          workers,
          version: VERSION,
          oldest: oldestPart(
            table,
            members.map(({ id }) => id),
            own,
          ),
          ...(wanted === undefined ? {} : { wanted }),
        },
      };
    },
  }),
  operation({
    method: "GET",
    path: "/audit",
    summary: "Who changed what, newest first",
    scope: "read",
    query: auditQuerySchema,
    answer: z.object({ entries: z.array(auditEntrySchema), next: z.string().optional() }),
    async handle({ control: { runner, store, clock }, query: { limit, ...rest } }) {
      await runner.confirm(AbortSignal.timeout(limits.controlRequestMs));
      const filters = Object.entries(rest).filter(([, value]) => value !== undefined);
      return { value: await listAudit(store, clock.nowMs(), { limit, ...Object.fromEntries(filters) }) };
    },
  }),
  operation({
    method: "GET",
    path: "/members",
    summary: "List the replicas of control",
    scope: "read",
    answer: z.object({ members: z.array(memberViewSchema) }),
    handle: async ({ control }) => ({ value: { members: await control.store.members() } }),
  }),
];
