/** Providers that tell confirmed addresses at an endpoint of their own. */
import type { FinishFacts, ProviderUser } from "../contract.ts";
import { at, isTrueAt, listOf, textAt } from "../paths.ts";

/** The profile's address is one that the user chose to show, and may be none: the confirmed primary one counts. */
export async function githubEmail(user: ProviderUser, { provider, more }: FinishFacts): Promise<void> {
  const emails = listOf(await more(`${provider.userInfoURL}/emails`));
  const primary = emails.find((one) => isTrueAt(one, "primary") && isTrueAt(one, "verified"));
  user.email = textAt(primary, "email");
}

export async function bitbucketEmail(user: ProviderUser, { provider, more }: FinishFacts): Promise<void> {
  const emails = listOf(at(await more(`${provider.userInfoURL}/emails`), "values"));
  const primary = emails.find((one) => isTrueAt(one, "is_primary") && isTrueAt(one, "is_confirmed"));
  user.email = textAt(primary, "email");
}

export async function giteeEmail(user: ProviderUser, { more }: FinishFacts): Promise<void> {
  const emails = listOf(await more("https://gitee.com/api/v5/emails"));
  const primary = emails.find(
    (one) => textAt(one, "state") === "confirmed" && listOf(at(one, "scope")).includes("primary"),
  );
  user.email = textAt(primary, "email");
}
