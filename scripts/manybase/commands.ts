import { z } from "zod";
import { UserError } from "../../shared/errors.ts";
import {
  importReportSchema,
  superuserResponseSchema,
  tenantViewSchema,
  ticketResponseSchema,
  workerViewSchema,
} from "../../shared/protocol/cp.ts";
import type { Api } from "./api.ts";
import { packPbData } from "./pack-pb-data.ts";
import { table } from "./table.ts";

export interface CommandResult {
  /** For people. */
  text: string;
  /** For machines: what `--json` prints. */
  value: unknown;
}

export interface Command {
  words: string;
  usage: string;
  about: string;
  run(api: Api, args: string[], options: { durability?: string; search?: string }): Promise<CommandResult>;
}

const tenantsSchema = z.object({ tenants: z.array(tenantViewSchema), next: z.string().optional() });
const workersSchema = z.object({ workers: z.array(workerViewSchema) });

export const COMMANDS: readonly Command[] = [
  {
    words: "tenants create",
    usage: "tenants create <slug>",
    about: "Makes a tenant.",
    async run(api, args, options) {
      const [slug] = words(args, 1, this.usage);
      const tenant = await api.call("POST", "/api/cp/tenants", tenantViewSchema, {
        slug,
        ...(options.durability === undefined ? {} : { durability: options.durability }),
      });
      return { text: `Created ${tenant.slug} (${tenant.id}).`, value: tenant };
    },
  },
  {
    words: "tenants list",
    usage: "tenants list",
    about: "Lists tenants by slug.",
    async run(api, args, options) {
      words(args, 0, this.usage);
      const tenants: z.infer<typeof tenantViewSchema>[] = [];
      for (let after: string | undefined = ""; after !== undefined;) {
        const query = new URLSearchParams({ limit: "500", after, search: options.search ?? "" });
        const page: z.infer<typeof tenantsSchema> = await api.call(
          "GET",
          `/api/cp/tenants?${query}`,
          tenantsSchema,
        );
        tenants.push(...page.tenants);
        after = page.next;
      }
      return {
        text: table(
          ["SLUG", "ID", "STATE", "WORKER", "DURABILITY", "CREATED"],
          tenants.map((t) => [
            t.slug,
            t.id,
            t.suspended ? "suspended" : t.state,
            t.worker?.toString() ?? "-",
            t.durability,
            t.created,
          ]),
          "No tenants yet.",
        ),
        value: tenants,
      };
    },
  },
  {
    words: "tenants import",
    usage: "tenants import <slug> <pb_data dir>",
    about: "Makes or replaces a tenant's content by a PocketBase directory.",
    async run(api, args) {
      const [slug = "", directory = ""] = words(args, 2, this.usage);
      const body = await packPbData(directory);
      await createUnlessThere(api, slug);
      const path = `/api/cp/tenants/${encodeURIComponent(slug)}/tickets`;
      const ticket = await api.call("POST", path, ticketResponseSchema, { action: "import" });
      const report = await api.send(slug, ticket.path, ticket.ticket, body, importReportSchema);
      const left = report.notCarried.map((what) => `\n  not carried: ${what}`).join("");
      return {
        text: `Imported ${slug}: ${report.collections} collections, ${report.records} records, ${report.files} files.${left}`,
        value: { slug, ...report },
      };
    },
  },
  {
    words: "tenants superuser",
    usage: "tenants superuser <slug> <email> <password>",
    about: "Makes a superuser of a tenant, or sets its password.",
    async run(api, args) {
      const [slug = "", email, password] = words(args, 3, this.usage);
      const path = `/api/cp/tenants/${encodeURIComponent(slug)}/superusers`;
      const user = await api.call("POST", path, superuserResponseSchema, { email, password });
      return {
        text: `${user.created ? "Created" : "Updated"} superuser ${user.email} of ${slug}.`,
        value: user,
      };
    },
  },
  {
    words: "workers list",
    usage: "workers list",
    about: "Lists workers.",
    async run(api, args) {
      words(args, 0, this.usage);
      const { workers } = await api.call("GET", "/api/cp/workers", workersSchema);
      return {
        text: table(
          ["INCARNATION", "STATE", "TENANTS", "URL", "VERSION", "REGISTERED"],
          workers.map((w) => [
            String(w.incarnation),
            w.state,
            String(w.tenants),
            w.url,
            w.version,
            w.registered,
          ]),
          "No workers yet.",
        ),
        value: workers,
      };
    },
  },
];

/** @throws UserError `invalid_option` for words that are no command */
export function findCommand(positionals: readonly string[]): { command: Command; args: string[] } {
  const command = COMMANDS.find(({ words }) => words === positionals.slice(0, 2).join(" "));
  if (command === undefined) {
    throw new UserError("invalid_option", `Cannot run "${positionals.join(" ")}": no such command`, {
      hint: `Commands: ${COMMANDS.map(({ words }) => words).join(", ")}. Try --help.`,
    });
  }
  return { command, args: positionals.slice(2) };
}

async function createUnlessThere(api: Api, slug: string): Promise<void> {
  try {
    await api.call("POST", "/api/cp/tenants", tenantViewSchema, { slug });
  } catch (error) {
    if ((error as { code?: string }).code !== "slug_taken") throw error;
  }
}

function words(args: readonly string[], count: number, usage: string): string[] {
  if (args.length !== count) {
    throw new UserError("invalid_option", `Cannot run this: expected ${count} words, got ${args.length}`, {
      hint: `Usage: manybase ${usage}`,
    });
  }
  return [...args];
}
