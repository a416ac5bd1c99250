import { z } from "zod";
import { UserError } from "../../../shared/errors.ts";
import {
  type TenantView,
  superuserResponseSchema,
  tenantViewSchema,
  ticketResponseSchema,
} from "../../../shared/protocol/cp.ts";
import { usageSchema } from "../../../shared/protocol/internal.ts";
import { parseStorage, storageText } from "../../../shared/storage-size.ts";
import { type Command, type CommandOptions, query, words } from "../command.ts";
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
    usage:
      "tenants create <slug> [--encrypted] [--durability <durable|async>] [--region <name>] [--storage <size|none>]",
    about: "Makes a tenant.",
    async run(api, args, options) {
      const [slug] = words(args, 1, this.usage);
      const tenant = await api.call("POST", "/api/cp/tenants", tenantViewSchema, {
        slug,
        ...(options.durability === undefined ? {} : { durability: options.durability }),
        ...(options.region === undefined ? {} : { region: options.region }),
        ...storageOf(options),
        ...(options.encrypted === undefined ? {} : { encrypted: options.encrypted !== "false" }),
      });
      const next = `A link for its first superuser: manybase tenants installer ${tenant.slug}`;
      return { text: `Created ${tenant.slug} (${tenant.id}).\n${next}`, value: tenant };
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
      const { domains, limits, archive, moving: _, deleted: __, ...plain } = tenant;
      const rows = Object.entries({ ...plain, ...limits, ...(domains && { domains: domains.join(", ") }) })
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, String(value)]);
      if (tenant.moving !== undefined) {
        rows.push(["moving", `to ${tenant.moving.to ?? "nobody"} (${tenant.moving.why})`]);
      }
      if (archive !== undefined) rows.push(["archive", `${archive.storageClass} (${archive.step})`]);
      if (tenant.deleted !== undefined) {
        const { until, purging } = tenant.deleted;
        rows.push(["deleted", purging ? "is being purged" : `recoverable until ${until}`]);
      }
      return { text: table(["FIELD", "VALUE"], rows, ""), value: tenant };
    },
  },
  {
    words: "tenants update",
    usage:
      "tenants update <slug> [--slug <new>] [--durability <durable|async>] [--region <name|none>] [--storage <size|none>] [--<limit> <n|default>]",
    about:
      "Renames a tenant, changes when its writes are acknowledged, its storage quota, or its limits at gateways.",
    async run(api, args, options) {
      const [slug = ""] = words(args, 1, this.usage);
      const tenant = await api.call("PATCH", pathOf(slug), tenantViewSchema, {
        ...(options.slug === undefined ? {} : { slug: options.slug }),
        ...(options.durability === undefined ? {} : { durability: options.durability }),
        ...(options.region === undefined
          ? {}
          : { region: options.region === "none" ? null : options.region }),
        ...storageOf(options),
        ...limitsOf(options),
      });
      const bounds = Object.entries(tenant.limits ?? {}).map(([name, value]) => `, ${name} ${value}`);
      if (tenant.storageBytesMax !== undefined)
        bounds.push(`, at most ${storageText(tenant.storageBytesMax)}`);
      return { text: `${tenant.slug} is ${tenant.durability} now${bounds.join("")}.`, value: tenant };
    },
  },
  change("suspend", "Refuses all requests of a tenant at once.", (t) => `${t.slug} is suspended.`),
  change("resume", "Lets a suspended tenant serve again.", (t) => `${t.slug} serves again.`),
  {
    words: "tenants archive",
    usage: "tenants archive <slug> [--class <class>]",
    about: "Moves a tenant's objects to a cold storage class; it is not served until it is thawed.",
    async run(api, args, options) {
      const [slug = ""] = words(args, 1, this.usage);
      const body = options.class === undefined ? {} : { storageClass: options.class };
      const tenant = await api.call("POST", pathOf(slug, "archive"), tenantViewSchema, body);
      return { text: `${tenant.slug} goes to ${tenant.archive?.storageClass ?? "-"}.`, value: tenant };
    },
  },
  change("thaw", "Brings an archived tenant's objects back, so that it can be served.", (t) =>
    t.state === "archived" ? `${t.slug} is being thawed.` : `${t.slug} is there again.`,
  ),
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
    words: "tenants usage",
    usage: "tenants usage <slug>",
    about: "Shows what a tenant stores, and its quota.",
    async run(api, args) {
      const [slug = ""] = words(args, 1, this.usage);
      const body = { action: "usage" };
      const { path, ticket } = await api.call("POST", pathOf(slug, "tickets"), ticketResponseSchema, body);
      const usage = usageSchema.parse(await (await api.receive(slug, path, ticket)).json());
      const parts: [string, number][] = [
        ...Object.entries(usage.databases),
        ["uploads", usage.uploads],
        ["total", usage.total],
      ];
      const rows = parts.map(([name, bytes]) => [name, String(bytes), storageText(bytes)]);
      const quota = usage.storageBytesMax;
      rows.push(["quota", quota?.toString() ?? "-", quota === undefined ? "none" : storageText(quota)]);
      return { text: table(["WHAT", "BYTES", ""], rows, ""), value: { slug, ...usage } };
    },
  },
  {
    words: "tenants superuser",
    usage: "tenants superuser <slug> <email> <password> [--reset-mfa]",
    about: "Makes a superuser of a tenant, or sets its password.",
    async run(api, args, options) {
      const [slug = "", email, password] = words(args, 3, this.usage);
      const body = { email, password, ...(options["reset-mfa"] === undefined ? {} : { resetMfa: true }) };
      const user = await api.call("POST", pathOf(slug, "superusers"), superuserResponseSchema, body);
      return {
        text: `${user.created ? "Created" : "Updated"} superuser ${user.email} of ${slug}.`,
        value: user,
      };
    },
  },
];

function storageOf({ storage }: CommandOptions): { storageBytesMax?: number | null } {
  return storage === undefined ? {} : { storageBytesMax: parseStorage(storage, "--storage") };
}

const LIMITS = [
  ["requests-per-second", "requestsPerSecond"],
  ["concurrent-requests", "concurrentRequests"],
  ["body-bytes", "bodyBytes"],
] as const;

/** @throws UserError `invalid_option` */
function limitsOf(options: CommandOptions): { limits?: Record<string, number | null> } {
  const given = LIMITS.flatMap(([flag, name]): [string, number | null][] => {
    const text = options[flag];
    if (text === undefined) return [];
    if (text === "default") return [[name, null]];
    if (/^[0-9]+(\.[0-9]+)?$/.test(text)) return [[name, Number(text)]];
    throw new UserError("invalid_option", `Cannot read --${flag}: ${text} is no number and not "default"`);
  });
  return given.length === 0 ? {} : { limits: Object.fromEntries(given) };
}

function stateOf(tenant: TenantView): string {
  if (tenant.suspended && tenant.state !== "deleted") return "suspended";
  return tenant.moving === undefined ? tenant.state : `${tenant.state} (moving)`;
}
