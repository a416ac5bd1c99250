import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { type Meta, audit, isoTime } from "./audit.ts";
import { type Key, tokenKey } from "./keys.ts";
import type { OperatorScope, TokenRecord } from "./records.ts";
import { type Decision, type View, draft, put, remove } from "./view.ts";

export interface AddToken {
  meta: Meta;
  /** Lower-case hex; the token itself is never stored. */
  sha256: string;
  name: string;
  scopes: OperatorScope[];
}

/** What names a token where it is listed and revoked: a part of its hash that says nothing of the token. */
export const tokenId = (sha256: string): string => sha256.slice(0, 16);

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

/**
 * As `addToken` for an operator: never more scopes than the operator's own, and no second token of a name. Rejects with UserError
 * `forbidden` or `conflict`.
 */
export function createToken(view: View, command: AddToken, own: readonly OperatorScope[]): Decision<boolean> {
  const { name, scopes } = command;
  const beyond = scopes.filter((scope) => !own.includes(scope));
  if (beyond.length > 0) {
    return {
      reject: new UserError("forbidden", `Cannot make token ${name}: your own lacks ${beyond.join(", ")}`),
    };
  }
  const tokens = [...view.tokens()];
  if (tokens.some(([, token]) => token.name === name)) {
    return {
      reject: new UserError("conflict", `Cannot make token ${name}: there is one of that name`, {
        details: { fields: { name: "in use" } },
      }),
    };
  }
  if (tokens.length >= limits.operatorTokensMax) {
    return { reject: new UserError("conflict", "Cannot make another token: there are too many") };
  }
  return addToken(view, command);
}

/** Rejects with UserError `not_found`, or `conflict` for the last token that may change anything. */
export function revokeToken(view: View, meta: Meta, id: string): Decision<TokenRecord> {
  const tokens = [...view.tokens()];
  const found = tokens.find(([sha256]) => tokenId(sha256) === id);
  if (found === undefined) {
    return { reject: new UserError("not_found", "Cannot revoke token: there is none of that id") };
  }
  const [sha256, token] = found;
  const others = tokens.filter(([other, { scopes }]) => other !== sha256 && scopes.includes("write"));
  if (others.length === 0 && token.scopes.includes("write")) {
    return {
      reject: new UserError(
        "conflict",
        `Cannot revoke token ${token.name}: no other one may change anything`,
        {
          hint: "Make another one first.",
        },
      ),
    };
  }
  // The others are compared, so that two revocations cannot each leave the other's token as the last one.
  const compared = [tokenKey(sha256), ...others.slice(0, 1).map(([other]) => tokenKey(other))];
  return {
    draft: draft(view, compared, [remove(tokenKey(sha256)), audit(meta, "token.revoke", token.name, { id })]),
    value: token,
  };
}
