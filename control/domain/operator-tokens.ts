import { type Meta, audit, isoTime } from "./audit.ts";
import { type Key, tokenKey } from "./keys.ts";
import type { OperatorScope } from "./records.ts";
import { type Decision, type View, draft, put } from "./view.ts";

export interface AddToken {
  meta: Meta;
  /** Lower-case hex; the token itself is never stored. */
  sha256: string;
  name: string;
  scopes: OperatorScope[];
}

/** Exists from the first token on, so that two replicas cannot both make a first one. */
const FIRST = "first-token" as Key<string>;

/** @returns whether it is new */
export function addToken(view: View, command: AddToken): Decision<boolean> {
  const { meta, sha256, name, scopes } = command;
  if (view.get(tokenKey(sha256)) !== undefined) return { settled: false };
  return {
    draft: draft(
      view,
      [tokenKey(sha256)],
      [
        put(tokenKey(sha256), { name, scopes, created: isoTime(meta.atMs) }),
        put(FIRST, name),
        audit(meta, "token.create", name, { scopes }),
      ],
    ),
    value: true,
  };
}

/** As `addToken`, but only while there was never any. @returns whether it was added */
export function addFirstToken(view: View, command: AddToken): Decision<boolean> {
  if (view.get(FIRST) !== undefined) return { settled: false };
  const decision = addToken(view, command);
  if (!("draft" in decision)) return decision;
  return {
    ...decision,
    draft: { ...decision.draft, cmp: [...decision.draft.cmp, { key: FIRST, modRev: view.modRev(FIRST) }] },
  };
}
