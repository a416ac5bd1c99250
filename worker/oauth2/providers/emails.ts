/** Providers that tell confirmed addresses at an endpoint of their own. */
import type { FinishFacts, ProviderUser } from "../contract.ts";
import { at, isTrueAt, listOf, textAt } from "../paths.ts";

/**
 * The profile's address is one that the user chose to show, and may be none: the confirmed primary one counts, where the
 * application may see it.
 */
export async function githubEmail(user: ProviderUser, { provider, raw, more }: FinishFacts): Promise<void> {
  const told = await more(`${provider.userInfoURL}/emails`);
  if (told === undefined) {
    user.email = textAt(raw, "email");
    return;
  }
  const emails = listOf(told);
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

/**
 * In an application open to all directories, whoever runs one writes the `mail` of its users: the collection may say
 * (`extra.idTokenEmailClaim`) that only the id_token's `email` counts, or only one that `xms_edov` says is the directory's own.
 */
export async function microsoftEmail(user: ProviderUser, { provider, idToken }: FinishFacts): Promise<void> {
  const claim = textAt(provider.extra, "idTokenEmailClaim");
  if (claim === "") return;
  const claims = await idToken();
  const counts = claim === "email" || (claim === "email_and_xms_edov" && isTrueAt(claims, "xms_edov"));
  user.email = counts ? textAt(claims, "email") : "";
}
