import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { UserError } from "../../../shared/errors.ts";
import { type Txid, randomText } from "../../../shared/ids.ts";
import { importReportSchema, tenantViewSchema, ticketResponseSchema } from "../../../shared/protocol/cp.ts";
import type { TicketAction } from "../../../shared/protocol/internal.ts";
import type { Api } from "../api.ts";
import { type Command, words } from "../command.ts";
import { type Layout, convertDatabase, parseLayout } from "../export-layout.ts";
import { openImportSource } from "../litestream/read-source.ts";
import { packPbData } from "../pack-pb-data.ts";
import { type ReceivedExport, receiveExport } from "../receive-export.ts";

/** Whole tenants in and out. */
export const transferCommands: readonly Command[] = [
  {
    words: "tenants import",
    usage: "tenants import <slug> <dir> [--storage <dir>] [--generation <name>]",
    about: "Makes or replaces a tenant's content by a pb_data directory or a Litestream replica.",
    async run(api, args, options) {
      const [slug = "", directory = ""] = words(args, 2, this.usage);
      const source = await openImportSource(directory.replace(/(?<=.)\/+$/, ""), {
        ...(options.storage === undefined ? {} : { storage: options.storage }),
        ...(options.generation === undefined ? {} : { generation: options.generation }),
      });
      try {
        await createUnlessThere(api, slug);
        const { path, ticket } = await ticketFor(api, slug, "import");
        const report = await api.send(slug, path, ticket, packPbData(source), importReportSchema);
        const read = source.described.map((what) => `\n  read ${what}`).join("");
        const left = report.notCarried.map((what) => `\n  not carried: ${what}`).join("");
        return {
          text: `Imported ${slug}: ${report.collections} collections, ${report.records} records, ${report.files} files.${read}${left}`,
          value: { slug, ...report, source: source.described },
        };
      } finally {
        await source.close();
      }
    },
  },
  {
    words: "tenants export",
    usage: "tenants export <slug> <dir|file.tar> [--logs] [--layout <layout>]",
    about: "Writes a tenant as a pb_data directory, a tar of one, or a Litestream replica.",
    async run(api, args, options) {
      const [slug = "", out = ""] = words(args, 2, this.usage);
      const layout = parseLayout(options.layout);
      const target = out.replace(/(?<=.)\/+$/, "");
      const tar = target.endsWith(".tar");
      if (tar && layout !== "pocketbase") {
        throw new UserError("invalid_option", `Cannot export as ${layout} into a tar: it needs a directory`);
      }
      await checkFree(target);
      const { path, ticket } = await ticketFor(api, slug, "export");
      const response = await api.receive(slug, `${path}?logs=${options.logs === undefined ? 0 : 1}`, ticket);
      const position = txidOf(response.headers.get("x-txid") ?? "");
      const received = await inPlace(target, (partial) =>
        tar ? intoFile(response, partial) : intoDirectory(response, partial, layout, position),
      );
      return {
        text: `Exported ${slug} to ${target} (${layout}): ${received.databases.join(" and ")} at TXID ${position}, ${received.files} files, ${received.bytes} bytes.\nNot in it: thumbs, which are made anew, and the platform's own tables (second factors, SQL tokens)${options.logs === undefined ? "; request logs come with --logs" : ""}.`,
        value: { slug, target, layout, txid: position, ...received },
      };
    },
  },
];

async function ticketFor(
  api: Api,
  slug: string,
  action: TicketAction,
): Promise<{ path: string; ticket: string }> {
  const path = `/api/cp/tenants/${encodeURIComponent(slug)}/tickets`;
  return await api.call("POST", path, ticketResponseSchema, { action });
}

async function createUnlessThere(api: Api, slug: string): Promise<void> {
  try {
    await api.call("POST", "/api/cp/tenants", tenantViewSchema, { slug });
  } catch (error) {
    if ((error as { code?: string }).code !== "slug_taken") throw error;
  }
}

/** @throws UserError `invalid_directory` when something is there */
async function checkFree(target: string): Promise<void> {
  const found = await stat(target).catch(() => undefined);
  if (found === undefined) return;
  if (found.isDirectory() && (await readdir(target)).length === 0) return;
  throw new UserError("invalid_directory", `Cannot export to ${target}: something is there already`, {
    hint: "Name a new or empty directory, or a new .tar file: nothing is overwritten.",
  });
}

/** What `make` makes stands at `target` when it is whole; nothing is left of it when it fails. */
async function inPlace<T>(target: string, make: (partial: string) => Promise<T>): Promise<T> {
  const partial = `${target}.partial-${randomText(6, "0123456789abcdef")}`;
  try {
    await mkdir(dirname(target), { recursive: true });
    const made = await make(partial);
    await rename(partial, target);
    return made;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new UserError("invalid_directory", `Cannot export to ${target}: ${(error as Error).message}`, {
      cause: error,
      hint: "Is there room, and may this user write there? Nothing was kept.",
    });
  }
}

async function intoFile(response: Response, partial: string): Promise<ReceivedExport> {
  const file = await open(partial, "wx");
  try {
    return await receiveExport(bodyOf(response), { file });
  } finally {
    await file.close();
  }
}

async function intoDirectory(
  response: Response,
  partial: string,
  layout: Layout,
  txid: Txid,
): Promise<ReceivedExport> {
  await mkdir(partial);
  const received = await receiveExport(bodyOf(response), { directory: partial });
  if (layout !== "pocketbase") {
    for (const name of received.databases) await convertDatabase(partial, name, layout, txid);
  }
  return received;
}

const bodyOf = (response: Response): ReadableStream<Uint8Array> => response.body ?? new Blob([]).stream();

/** The position of data.db in an `x-txid` header; 1 when it does not say. */
function txidOf(header: string): Txid {
  const [, txid] = /(?:^|[\s,])data\.db=(\d+)/.exec(header) ?? [];
  return Math.max(1, Number(txid ?? 1)) as Txid;
}
