import { audit } from "../domain/audit.ts";
import type { Control } from "../service.ts";
import type { Member, MemberChange } from "../store/contract.ts";

/** The change and its audit entry are one: both happen or neither does. @throws as `ReplicatedStore.changeMembers` */
export async function changeMembers(
  { store, runner }: Pick<Control, "store" | "runner">,
  who: string,
  change: MemberChange,
  details: Record<string, unknown> = {},
): Promise<Member[]> {
  const entry = audit(runner.meta(who), `member.${change.kind}`, change.id, details);
  return store.changeMembers(change, { id: runner.newId(), then: [entry] });
}
