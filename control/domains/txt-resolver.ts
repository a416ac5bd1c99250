import { Resolver } from "node:dns/promises";
import { SystemError, UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

/** The TXT records of a name, each as one text; none when there are none. @throws SystemError `domain_lookup_failed` */
export type ResolveTxt = (name: string) => Promise<string[]>;

/** What DNS says when there is no such record, as opposed to not being able to say. */
const NONE = new Set(["ENOTFOUND", "ENODATA"]);

/** @param servers `address` or `address:port` each; none: those of the machine. @throws UserError `invalid_option` */
export function txtResolver(servers: readonly string[] = []): ResolveTxt {
  const { domainLookupMs, domainLookupTries, domainTxtRecordsMax } = limits;
  const options = { timeout: domainLookupMs / domainLookupTries / 2, tries: domainLookupTries };
  const make = (): Resolver => {
    const resolver = new Resolver(options);
    if (servers.length > 0) resolver.setServers([...servers]);
    return resolver;
  };
  try {
    make();
  } catch (cause) {
    throw new UserError("invalid_option", `Cannot read --dns: ${(cause as Error).message}`, { cause });
  }
  return async (name) => {
    // One for each question: `cancel` ends all that a resolver was asked.
    const resolver = make();
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new Error("no answer in time"));
      resolver.cancel();
    }, domainLookupMs);
    try {
      const records = await Promise.race([resolver.resolveTxt(name), late.promise]);
      // Bun gives each piece of a long text as a text of its own; what is looked for fits into one piece (255 bytes).
      return records.slice(0, domainTxtRecordsMax).map((parts) => parts.join(""));
    } catch (cause) {
      if (NONE.has((cause as { code?: string }).code ?? "")) return [];
      throw new SystemError(
        "domain_lookup_failed",
        `Cannot look ${name} up: ${(cause as Error).message || "DNS gave no answer"}`,
        { cause, hint: "Try again; see whether the domain's name servers answer.", retryAfterMs: 5_000 },
      );
    } finally {
      clearTimeout(timer);
    }
  };
}
