/** `/api/backups`: zips of the whole tenant, as PocketBase makes and takes them. */
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import { backupKey } from "../../../shared/objects/layout.ts";
import { SUPERUSERS, findTokenOwner } from "../../auth/tokens.ts";
import { modelOf } from "../../model/model.ts";
import { ApiError, Reason, badRequest, forbidden, notFound } from "../../pb/api-error.ts";
import { failForm, formText, plainFormBody } from "../../pb/form-body.ts";
import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import { isSuperuserAddress } from "../../pb/superuser-address.ts";
import { settingsOf } from "../../pb/settings.ts";
import { createBackup } from "./create.ts";
import { NAME_TAKEN, generatedName, isStoredName, nameError } from "./names.ts";
import { restoreBackup } from "./restore.ts";
import { sendBackup } from "./send.ts";
import { exclusively, runningBackup } from "../../pb/running-backup.ts";
import { backupSignal, deleteBackup, hasBackup, listBackups } from "./stored.ts";
import { uploadBackup } from "./upload.ts";

export const backupRoutes: readonly FeatureRoute[] = [
  { method: "GET", path: "/api/backups", handle: list },
  { method: "POST", path: "/api/backups", handle: create },
  { method: "POST", path: "/api/backups/upload", handle: upload, bodyBytesMax: limits.backupBytesMax },
  { method: "GET", path: "/api/backups/:key", handle: download },
  { method: "DELETE", path: "/api/backups/:key", handle: remove },
  { method: "POST", path: "/api/backups/:key/restore", handle: restore },
];

async function list(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  return context.json(200, await listBackups(context.tenant, context.request.signal));
}

async function create(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const { tenant, seen } = context;
  checkNoneRuns(context);
  const given = formText(context, await plainFormBody(context), "name");
  const signal = backupSignal(tenant);
  if (given !== "") {
    failForm({ name: nameError(given) });
    failForm({ name: (await hasBackup(tenant, given, signal)) ? NAME_TAKEN : undefined });
  }
  const name = given === "" ? generatedName("pb_backup_", settingsOf(tenant, seen), new Date()) : given;
  await orRefuse("Failed to create backup.", () =>
    exclusively(tenant, name, () => createBackup(tenant, name)),
  );
  return context.noContent();
}

async function upload(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  await uploadBackup(context);
  return context.noContent();
}

/** By a superuser's file token alone: links do not carry headers. */
async function download(context: PbContext): Promise<Response> {
  const { tenant, request, query } = context;
  const model = modelOf(tenant);
  const owner = tenant.data.read(context.seen, (db) =>
    findTokenOwner(query.get("token") ?? "", ["file"], model.schema, (collection, id) =>
      model.find(db, collection, id),
    ),
  );
  if (owner?.collection.name !== SUPERUSERS || !isSuperuserAddress(context)) {
    const reason = owner === undefined ? new Reason("missing or invalid file token") : undefined;
    throw forbidden("Insufficient permissions to access the resource.", {}, reason);
  }
  const name = context.params["key"] ?? "";
  if (!isStoredName(name)) throw notFound();
  return sendBackup(tenant.objects, backupKey(tenant.id, name), name, request);
}

async function remove(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const { tenant } = context;
  const name = context.params["key"] ?? "";
  const { signal } = context.request;
  if (name !== "" && runningBackup(tenant) === name)
    throw badRequest("The backup is currently being used and cannot be deleted.");
  if (!isStoredName(name) || !(await hasBackup(tenant, name, signal))) {
    throw badRequest(
      `Invalid or already deleted backup file. Raw error: \n[key: ${name}] resource not found`,
    );
  }
  await deleteBackup(tenant, name, signal);
  return context.noContent();
}

/** PocketBase answers first and restarts then; here the answer says that it is done. */
async function restore(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const { tenant, seen } = context;
  checkNoneRuns(context);
  const name = context.params["key"] ?? "";
  if (!isStoredName(name) || !(await hasBackup(tenant, name, context.request.signal)))
    throw badRequest("Missing or invalid backup file.");
  await orRefuse("Failed to restore backup.", () =>
    exclusively(tenant, name, () => restoreBackup(tenant, seen, name)),
  );
  return context.noContent();
}

function checkNoneRuns({ tenant }: PbContext): void {
  if (runningBackup(tenant) !== undefined) {
    throw badRequest("Try again later - another backup/restore process has already been started");
  }
}

/** @throws ApiError 400 with `what` for everything that is not the platform's own trouble */
async function orRefuse(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof ApiError || error instanceof SystemError) throw error;
    throw badRequest(what, {}, error);
  }
}
