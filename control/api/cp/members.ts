import { z } from "zod";
import { UserError } from "../../../shared/errors.ts";
import { note } from "../../domain/note.ts";
import type { Control } from "../../service.ts";
import { changeMembers } from "../change-members.ts";
import { MEMBER_ID, memberUrlSchema, memberViewSchema } from "../member-schemas.ts";
import { type Operation, operation } from "./operation.ts";
import { auditName } from "./operator.ts";

const membersAnswerSchema = z.object({ members: z.array(memberViewSchema) });

/** Members of control itself. */
export const memberOperations: readonly Operation[] = [
  operation({
    method: "POST",
    path: "/members",
    summary: "Admit a member of control: it may then be started with --join, and votes once it has caught up",
    scope: "write",
    body: z.object({ id: z.string().regex(MEMBER_ID), url: memberUrlSchema }),
    answer: membersAnswerSchema,
    async handle({ control, operator, body: { id, url } }) {
      const change = { kind: "add", id, url } as const;
      return { value: { members: await changeMembers(control, auditName(operator), change, { url }) } };
    },
  }),
  operation({
    method: "DELETE",
    path: "/members/:id",
    summary: "Remove a member of control; when it leads, another one takes over",
    scope: "write",
    answer: membersAnswerSchema,
    async handle({ control, operator, param }) {
      const id = param("id");
      await known(control, id);
      return {
        value: { members: await changeMembers(control, auditName(operator), { kind: "remove", id }) },
      };
    },
  }),
  operation({
    method: "POST",
    path: "/members/:id/lead",
    summary: "Hand leadership to a voting member",
    scope: "write",
    answer: membersAnswerSchema,
    async handle({ control, operator, param }) {
      const id = param("id");
      await known(control, id);
      const { store, runner } = control;
      const meta = runner.meta(auditName(operator));
      // Before it is tried: who leads is no part of the state, so there is nothing to write it together with.
      await runner.run((view) => note(view, meta, "member.lead", id, {}));
      await store.transferLeader(id);
      return { value: { members: await control.store.members() } };
    },
  }),
];

async function known({ store }: Control, id: string): Promise<void> {
  const members = await store.members();
  if (members.some((member) => member.id === id)) return;
  throw new UserError("not_found", `Cannot find member ${id}: the cluster has none of that id`);
}
