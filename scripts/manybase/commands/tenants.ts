import { z } from "zod";
import {
  type TenantView,
  importReportSchema,
  superuserResponseSchema,
  tenantViewSchema,
  ticketResponseSchema,
} from "../../../shared/protocol/cp.ts";
import type { Api } from "../api.ts";
import { type Command, query, words } from "../command.ts";
import { packPbData } from "../pack-pb-data.ts";
import { table } from "../table.ts";

const tenantsSchema = z.object({ tenants: z.array(tenantViewSchema), next: z.string().optional() });

const pathOf = (slug: string, verb = ""): string =>
  `/api/cp/tenants/${encodeURIComponent(slug)}${verb === "" ? "" : `/${verb}`}`;

/** A verb that changes one tenant and answers with it. */
function change(verb: string, about: string, done: (tenant: TenantView) => string): Command {
  return {
    words: `tenants ${verb}`,
    usage: `tenants ${verb} <slug>`,
    about,
    async run(api, args) {
      const [slug = ""] = words(args, 1, this.usage);
      const tenant = await api.call("POST", pathOf(slug, verb), tenantViewSchema);
      return { text: done(tenant), value: tenant };
    },
  };
}

export const tenantCommands: readonly Command[] = [
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
      const tenants: TenantView[] = [];
      for (let after: string | undefined = ""; after !== undefined;) {
        const page: z.infer<typeof tenantsSchema> = await api.call(
          "GET",
          `/api/cp/tenants${query({ limit: "500", after, search: options.search ?? "" })}`,
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
            stateOf(t),
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
    words: "tenants get",
    usage: "tenants get <slug>",
    about: "Shows a tenant.",
    async run(api, args) {
      const [slug = ""] = words(args, 1, this.usage);
      const tenant = await api.call("GET", pathOf(slug), tenantViewSchema);
      const rows = Object.entries({ ...tenant, moving: undefined, deleted: undefined })
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, String(value)]);
      if (tenant.moving !== undefined) {
        rows.push(["moving", `to ${tenant.moving.to ?? "nobody"} (${tenant.moving.why})`]);
      }
      if (tenant.deleted !== undefined) {
        const { until, purging } = tenant.deleted;
        rows.push(["deleted", purging ? "is being purged" : `recoverable until ${until}`]);
      }
      return { text: table(["FIELD", "VALUE"], rows, ""), value: tenant };
    },
  },
  {
    words: "tenants update",
    usage: "tenants update <slug> [--slug <new>] [--durability <durable|async>]",
    about: "Renames a tenant, or changes when its writes are acknowledged.",
    async run(api, args, options) {
      const [slug = ""] = words(args, 1, this.usage);
      const tenant = await api.call("PATCH", pathOf(slug), tenantViewSchema, {
        ...(options.slug === undefined ? {} : { slug: options.slug }),
        ...(options.durability === undefined ? {} : { durability: options.durability }),
      });
      return { text: `${tenant.slug} is ${tenant.durability} now.`, value: tenant };
    },
  },
  change("suspend", "Refuses all requests of a tenant at once.", (t) => `${t.slug} is suspended.`),
  change("resume", "Lets a suspended tenant serve again.", (t) => `${t.slug} serves again.`),
  change("recover", "Brings a deleted tenant back.", (t) => `${t.slug} is back.`),
  change("evict", "Lets its worker drop a tenant until the next request.", (t) =>
    t.moving === undefined ? `${t.slug} is evicted.` : `${t.slug} is leaving its worker.`,
  ),
  {
    words: "tenants move",
    usage: "tenants move <slug> [<worker>]",
    about: "Moves a tenant to a worker (default: the emptiest other one) while it serves.",
    async run(api, args) {
      const [slug = "", worker] = words(args, [1, 2], this.usage);
      const body = worker === undefined ? {} : { worker };
      const tenant = await api.call("POST", pathOf(slug, "move"), tenantViewSchema, body);
      const text =
        tenant.moving === undefined
          ? `${tenant.slug} is on worker ${tenant.worker ?? "-"}.`
          : `${tenant.slug} is on its way to worker ${tenant.moving.to ?? "-"}.`;
      return { text, value: tenant };
    },
  },
  {
    words: "tenants delete",
    usage: "tenants delete <slug> [--retain-seconds <n>]",
    about: "Deletes a tenant; `recover` brings it back until its retention is over.",
    async run(api, args, options) {
      const [slug = ""] = words(args, 1, this.usage);
      const path = pathOf(slug) + query({ retainSeconds: options["retain-seconds"] });
      const tenant = await api.call("DELETE", path, tenantViewSchema);
      return {
        text: `Deleted ${tenant.slug}, recoverable until ${tenant.deleted?.until ?? "-"}.`,
        value: tenant,
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
      const ticket = await api.call("POST", pathOf(slug, "tickets"), ticketResponseSchema, {
        action: "import",
      });
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
      const body = { email, password };
      const user = await api.call("POST", pathOf(slug, "superusers"), superuserResponseSchema, body);
      return {
        text: `${user.created ? "Created" : "Updated"} superuser ${user.email} of ${slug}.`,
        value: user,
      };
    },
  },
];

function stateOf(tenant: TenantView): string {
  if (tenant.suspended && tenant.state !== "deleted") return "suspended";
  return tenant.moving === undefined ? tenant.state : `${tenant.state} (moving)`;
}

async function createUnlessThere(api: Api, slug: string): Promise<void> {
  try {
    await api.call("POST", "/api/cp/tenants", tenantViewSchema, { slug });
  } catch (error) {
    if ((error as { code?: string }).code !== "slug_taken") throw error;
  }
}
