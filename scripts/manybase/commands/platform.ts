import { z } from "zod";
import {
  auditEntrySchema,
  healthSchema,
  newTokenSchema,
  tokenViewSchema,
} from "../../../shared/protocol/cp.ts";
import { type Command, query, words } from "../command.ts";
import { table } from "../table.ts";

export const platformCommands: readonly Command[] = [
  {
    words: "platform health",
    usage: "platform health",
    about: "Shows what there is and how many workers are wanted.",
    async run(api, args) {
      words(args, 0, this.usage);
      const health = await api.call("GET", "/api/cp/health", healthSchema);
      const rows = [
        ["status", health.status],
        ["revision", String(health.revision)],
        ...Object.entries(health.tenants).map(([state, count]) => [`tenants ${state}`, String(count)]),
        ["release", health.version],
        ["oldest release", `${health.oldest.version} (${health.oldest.who})`],
        ["tenants moving", String(health.moving)],
        ...Object.entries(health.workers).map(([state, count]) => [`workers ${state}`, String(count)]),
        ...(health.wanted === undefined
          ? []
          : [["workers wanted", `${health.wanted.workers} (${health.wanted.reason})`]]),
      ];
      return { text: table(["FACT", "VALUE"], rows, ""), value: health };
    },
  },
  {
    words: "platform audit",
    usage: "platform audit [--subject <id>] [--action <name>] [--limit <n>] [--before <id>]",
    about: "Lists who changed what, newest first.",
    async run(api, args, { limit, before, subject, action }) {
      words(args, 0, this.usage);
      const schema = z.object({ entries: z.array(auditEntrySchema), next: z.string().optional() });
      const page = await api.call("GET", `/api/cp/audit${query({ limit, before, subject, action })}`, schema);
      const more = page.next === undefined ? "" : `\nMore: --before ${page.next}`;
      return {
        text:
          table(
            ["AT", "WHO", "ACTION", "SUBJECT", "DETAILS"],
            page.entries.map((one) => [
              one.at,
              one.who,
              one.action,
              one.subject,
              JSON.stringify(one.details),
            ]),
            "Nothing yet.",
          ) + more,
        value: page,
      };
    },
  },
  {
    words: "tokens create",
    usage: "tokens create <name> [--scopes <read,write,tenant-admin>]",
    about: "Makes an operator token and shows it once (default scopes: read).",
    async run(api, args, options) {
      const [name] = words(args, 1, this.usage);
      const scopes = (options.scopes ?? "read").split(",").map((scope) => scope.trim());
      const made = await api.call("POST", "/api/cp/tokens", newTokenSchema, { name, scopes });
      return {
        text: `${made.token}\nThis is token ${made.name} (${made.id}); it is shown only now.`,
        value: made,
      };
    },
  },
  {
    words: "tokens list",
    usage: "tokens list",
    about: "Lists operator tokens.",
    async run(api, args) {
      words(args, 0, this.usage);
      const schema = z.object({ tokens: z.array(tokenViewSchema) });
      const { tokens } = await api.call("GET", "/api/cp/tokens", schema);
      const rows = tokens.map(({ id, name, scopes, created }) => [id, name, scopes.join(","), created]);
      return { text: table(["ID", "NAME", "SCOPES", "CREATED"], rows, "None."), value: tokens };
    },
  },
  {
    words: "tokens revoke",
    usage: "tokens revoke <id>",
    about: "Makes an operator token invalid.",
    async run(api, args) {
      const [id = ""] = words(args, 1, this.usage);
      const path = `/api/cp/tokens/${encodeURIComponent(id)}`;
      const revoked = await api.call("DELETE", path, tokenViewSchema);
      return { text: `Token ${revoked.name} is invalid now.`, value: revoked };
    },
  },
];
