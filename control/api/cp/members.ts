import { z } from "zod";
import { UserError } from "../../../shared/errors.ts";
import { note } from "../../domain/note.ts";
import type { Control } from "../../service.ts";
import { MEMBER_ID, memberUrlSchema, memberViewSchema } from "../member-schemas.ts";
import { type Operation, operation } from "./operation.ts";
import { type Operator, auditName } from "./operator.ts";

const membersAnswerSchema = z.object({ members: z.array(memberViewSchema) });

/** Members of control itself. What an operator asks for is audited before it is tried: it is no change of control's own records. */
export const memberOperations: readonly Operation[] = [
  operation({
    method: "POST",
    path: "/members",
    summary: "Admit a member of control: it may then be started with --join, and votes once it has caught up",
    scope: "write",
    body: z.object({ id: z.string().regex(MEMBER_ID), url: memberUrlSchema }),
    answer: membersAnswerSchema,
    async handle({ control, operator, body: { id, url } }) {
      await audited(control, operator, "member.add", id, { url });
      return { value: { members: await control.store.changeMembers({ kind: "add", id, url }) } };
    },
  }),
  operation({
    method: "DELETE",
    path: "/members/:id",
    summary: "Remove a member of control; a leader that is removed hands over first",
    scope: "write",
    answer: membersAnswerSchema,
    async handle({ control, operator, param }) {
      const id = param("id");
      await known(control, id);
      await audited(control, operator, "member.remove", id);
      return { value: { members: await control.store.changeMembers({ kind: "remove", id }) } };
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
      await audited(control, operator, "member.lead", id);
      await control.store.transferLeader(id);
      return { value: { members: await control.store.members() } };
    },
  }),
];

async function known({ store }: Control, id: string): Promise<void> {
  const members = await store.members();
  if (members.some((member) => member.id === id)) return;
  throw new UserError("not_found", `Cannot find member ${id}: the cluster has none of that id`);
}

async function audited(
  { runner }: Control,
  operator: Operator,
  action: string,
  id: string,
  details: Record<string, unknown> = {},
): Promise<void> {
  const meta = runner.meta(auditName(operator));
  await runner.run((view) => note(view, meta, action, id, details));
}
