import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** What can stand in a name before it is made ASCII: the URL parser would read the rest as other parts of an address. */
const NAME = /^[^\s:@/?#\\%[\]]+$/;

/**
 * A custom host name in lower-case A-labels (IDNA, UTS 46), without a dot at the end.
 *
 * @param platform the domain below which tenants live: nothing at or below it can be claimed
 * @throws UserError `invalid_domain`
 */
export function parseDomain(raw: string, platform: string): string {
  const given = raw.trim().replace(/\.$/, "");
  if (given.length > limits.domainCharactersMax || !NAME.test(given)) throw refused(raw, "not a host name");
  let name: string;
  try {
    name = new URL(`http://${given}`).hostname;
  } catch {
    throw refused(raw, "not a host name");
  }
  const labels = name.split(".");
  if (name.length > limits.domainCharactersMax || !labels.every((label) => LABEL.test(label))) {
    throw refused(raw, "not a host name");
  }
  if (labels.length < 2) throw refused(raw, "it has no dot");
  if (/^[0-9]+$/.test(labels.at(-1) ?? "")) throw refused(raw, "it is an address");
  const own = new URL(`http://${platform}`).hostname;
  if (name === own || name.endsWith(`.${own}`)) throw refused(raw, "it is the platform's own");
  // A tenant of a platform at app.example.com must not be able to speak for example.com.
  if (own.endsWith(`.${name}`)) throw refused(raw, "the platform itself is below it");
  if (labels.at(-1) === "localhost") throw refused(raw, "it means every machine's own");
  return name;
}

function refused(raw: string, why: string): UserError {
  const shown = JSON.stringify(raw.length > 80 ? `${raw.slice(0, 80)}…` : raw);
  return new UserError("invalid_domain", `Cannot use domain ${shown}: ${why}`, {
    hint: "Give a host name of your own, e.g. www.example.com.",
    details: { fields: { domain: why } },
  });
}
