import { z } from "zod";
import { type DomainView, domainViewSchema } from "../../../shared/protocol/cp.ts";
import { type Command, words } from "../command.ts";
import { table } from "../table.ts";

const domainsSchema = z.object({ domains: z.array(domainViewSchema) });

const pathOf = (slug: string, ...rest: string[]): string =>
  ["/api/cp/tenants", slug, "domains", ...rest]
    .map((part, i) => (i === 0 ? part : encodeURIComponent(part)))
    .join("/");

const whatToSet = ({ record }: DomainView): string =>
  `Set this DNS record, then run \`manybase domains verify\`:\n  ${record.name}  ${record.type}  ${record.value}`;

export const domainCommands: readonly Command[] = [
  {
    words: "domains add",
    usage: "domains add <slug> <domain>",
    about: "Claims a host name of its own for a tenant; prints the DNS record that proves it.",
    async run(api, args) {
      const [slug = "", domain] = words(args, 2, this.usage);
      const added = await api.call("POST", pathOf(slug), domainViewSchema, { domain });
      const text =
        added.state === "verified"
          ? `${added.domain} serves ${slug} already.`
          : `Claimed ${added.domain}. ${whatToSet(added)}`;
      return { text, value: added };
    },
  },
  {
    words: "domains verify",
    usage: "domains verify <slug> <domain>",
    about: "Looks for that DNS record; from then on the host name serves.",
    async run(api, args) {
      const [slug = "", domain = ""] = words(args, 2, this.usage);
      const verified = await api.call("POST", pathOf(slug, domain, "verify"), domainViewSchema);
      return { text: `${verified.domain} serves ${slug}.`, value: verified };
    },
  },
  {
    words: "domains list",
    usage: "domains list <slug>",
    about: "Lists a tenant's own host names.",
    async run(api, args) {
      const [slug = ""] = words(args, 1, this.usage);
      const { domains } = await api.call("GET", pathOf(slug), domainsSchema);
      const rows = domains.map((one) => [one.domain, one.state, one.record.name, one.record.value]);
      return {
        text: table(["DOMAIN", "STATE", "TXT RECORD", "VALUE"], rows, "No domains yet."),
        value: domains,
      };
    },
  },
  {
    words: "domains remove",
    usage: "domains remove <slug> <domain>",
    about: "Takes a host name from a tenant; it stops serving at once.",
    async run(api, args) {
      const [slug = "", domain = ""] = words(args, 2, this.usage);
      const removed = await api.call("DELETE", pathOf(slug, domain), domainViewSchema);
      return { text: `Removed ${removed.domain} from ${slug}.`, value: removed };
    },
  },
];
