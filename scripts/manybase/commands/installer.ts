import { installerResponseSchema } from "../../../shared/protocol/cp.ts";
import { type Command, words } from "../command.ts";

const ADMIN = "/_/";

export const installerCommands: readonly Command[] = [
  {
    words: "tenants installer",
    usage: "tenants installer <slug>",
    about: "Prints a link by which a tenant without a superuser gets its first one, for half an hour.",
    async run(api, args) {
      const [slug = ""] = words(args, 1, this.usage);
      const path = `/api/cp/tenants/${encodeURIComponent(slug)}/installer`;
      const { token, expiresMs } = await api.call("POST", path, installerResponseSchema);
      const host = api.tenantUrl(slug);
      const link = `${host ?? ""}${ADMIN}#/pbinstall/${token}`;
      const until = new Date(expiresMs).toISOString();
      const hasAdmin = host !== undefined && (await api.hasPage(slug, ADMIN));
      const byHand = [
        host === undefined
          ? "The link is a path of the tenant's own host."
          : `${ADMIN} is not built here: make the superuser by its API instead.`,
        `  curl ${host ?? "<host>"}/api/collections/_superusers/records -H 'authorization: ${token}' \\`,
        `    -d email=me@example.com -d password=a-good-password -d passwordConfirm=a-good-password`,
      ];
      const text = [`Make the first superuser of ${slug} until ${until}:`, "", `  ${link}`];
      if (!hasAdmin) text.push("", ...byHand);
      return { text: text.join("\n"), value: { link, token, expires: until } };
    },
  },
];
