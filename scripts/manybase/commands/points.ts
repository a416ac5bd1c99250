import { UserError } from "../../../shared/errors.ts";
import { branchViewSchema, tenantViewSchema, ticketResponseSchema } from "../../../shared/protocol/cp.ts";
import {
  type Points,
  type RestorablePoint,
  pointsSchema,
  restoreReportSchema,
} from "../../../shared/protocol/points.ts";
import type { Api } from "../api.ts";
import { type Command, type CommandResult, words } from "../command.ts";
import { table } from "../table.ts";

const pathOf = (slug: string, verb: string): string => `/api/cp/tenants/${encodeURIComponent(slug)}/${verb}`;

/** Points in time and branches. */
export const pointCommands: readonly Command[] = [
  {
    words: "tenants points",
    usage: "tenants points <slug>",
    about: "Shows what of a tenant can be restored.",
    async run(api, args) {
      const [slug = ""] = words(args, 1, this.usage);
      const points = await api.call("GET", pathOf(slug, "points"), pointsSchema);
      return {
        text: table(["DATABASE", "FROM", "TO", "TXIDS"], pointRows(points), "Nothing can be restored yet."),
        value: points,
      };
    },
  },
  {
    words: "tenants restore",
    usage: "tenants restore <slug> --at <time|txid> [--as <slug>] [--logs]",
    about: "Puts a tenant back as it was, or makes a tenant of what it was.",
    async run(api, args, options) {
      const [slug = ""] = words(args, 1, this.usage);
      const at = pointOf(options.at);
      if (at === undefined) {
        throw new UserError(
          "invalid_option",
          "Cannot restore: --at says to which time or TXID, and is missing",
          {
            hint: `\`manybase tenants points ${slug}\` shows what there is.`,
          },
        );
      }
      if (options.as !== undefined) return branch(api, slug, options.as, at);
      const ticket = await api.call("POST", pathOf(slug, "tickets"), ticketResponseSchema, {
        action: "restore",
      });
      const body = new Blob([JSON.stringify({ at, logs: options.logs !== undefined })]).stream();
      const report = await api.send(slug, ticket.path, ticket.ticket, body, restoreReportSchema);
      const kept = report.kept.map((what) => `\n  left: ${what}`).join("");
      const coarse = coarseness(report);
      return {
        text: `Restored ${slug} to TXID ${report.point.txid} (${report.point.at}).${coarse}${kept}\n  undo: manybase tenants restore ${slug} --at ${report.before}`,
        value: { slug, ...report },
      };
    },
  },
  {
    words: "tenants branch",
    usage: "tenants branch <slug> <new> [--at <time|txid>]",
    about: "Makes a tenant that begins as another one is or was, without copying it.",
    async run(api, args, options) {
      const [slug = "", name = ""] = words(args, 2, this.usage);
      return branch(api, slug, name, pointOf(options.at));
    },
  },
  {
    words: "tenants detach",
    usage: "tenants detach <slug>",
    about: "Lets a branch copy what it still reads of its parent.",
    async run(api, args) {
      const [slug = ""] = words(args, 1, this.usage);
      const tenant = await api.call("POST", pathOf(slug, "detach"), tenantViewSchema);
      const text =
        tenant.origin === undefined
          ? `${slug} stands alone.`
          : `${slug} is copying; ask again to see whether it has ended.`;
      return { text, value: tenant };
    },
  },
];

async function branch(
  api: Api,
  slug: string,
  name: string,
  at: number | string | undefined,
): Promise<CommandResult> {
  const body = { slug: name, ...(at === undefined ? {} : { at }) };
  const made = await api.call("POST", pathOf(slug, "branches"), branchViewSchema, body);
  const { tenant, point, exact = true, next } = made;
  const where = point === undefined ? "" : ` at TXID ${point.txid} (${point.at})`;
  const coarse = coarseness({ exact, ...(next === undefined ? {} : { next }) });
  return {
    text: `Created ${tenant.slug} (${tenant.id}), a branch of ${slug}${where}.${coarse}`,
    value: made,
  };
}

function coarseness({ exact, next }: { exact: boolean; next?: RestorablePoint | undefined }): string {
  if (exact) return "";
  return `\n  the state at that very time is not kept any more: changes between that TXID and ${next?.txid ?? "the next"} (${next?.at ?? ""}) are missing`;
}

/** @throws UserError `invalid_option` */
function pointOf(text: string | undefined): number | string | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9]{1,16}$/.test(text)) return Number(text);
  const time = new Date(text);
  if (!Number.isNaN(time.getTime())) return time.toISOString();
  throw new UserError("invalid_option", `Cannot read --at ${text}: it is no TXID and no time`, {
    hint: "Give a TXID, or a time like 2026-11-22T04:17:00Z.",
  });
}

function pointRows({ databases }: Points): string[][] {
  const rows: { name: string; at: string; row: string[] }[] = [];
  for (const [name, { ranges, singles, more }] of Object.entries(databases)) {
    if (more > 0) rows.push({ name, at: "", row: [name, `${more} older ones`, "", ""] });
    for (const { txid, at } of singles) rows.push({ name, at, row: [name, at, at, String(txid)] });
    for (const { first, last } of ranges) {
      rows.push({ name, at: first.at, row: [name, first.at, last.at, `${first.txid}-${last.txid}`] });
    }
  }
  return rows
    .toSorted((a, b) => a.name.localeCompare(b.name) || a.at.localeCompare(b.at))
    .map(({ row }) => row);
}
