import { type Meta, audit } from "./audit.ts";
import { type Decision, type View, draft } from "./view.ts";

/** An audit entry for an act that changes nothing in control itself (a ticket given out, a superuser made in a tenant). */
export function note(
  view: View,
  meta: Meta,
  action: string,
  subject: string,
  details: Record<string, unknown>,
): Decision<void> {
  return { draft: draft(view, [], [audit(meta, action, subject, details)]), value: undefined };
}
