import { createWriteStream } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Busboy, type BusboyInstance } from "@fastify/busboy";
import { limits } from "../../../shared/limits.ts";
import { storedFileName } from "../../model/records/file-name.ts";
import { ApiError, badRequest, tooManyRequests } from "../../pb/api-error.ts";
import { BLANK, validationFailed } from "../../pb/form-body.ts";
import { sniffMime } from "../../pb/mime.ts";
import type { PbContext } from "../../pb/route.ts";
import { isStoredName } from "./names.ts";
import { backupSignal, hasBackup, storeBackup } from "./stored.ts";

/** Tenant slot: how many are on their way. */
const uploads = { create: (): { running: number } => ({ running: 0 }) };

/**
 * Takes the form's `file` to the store under the name that it comes with, by way of a file here: memory stays flat.
 * @throws ApiError 400, 413; 429 while others of the tenant are on their way
 */
export async function uploadBackup(context: PbContext): Promise<void> {
  const state = context.tenant.slot(uploads);
  if (state.running >= limits.backupUploadsMax) throw tooManyRequests();
  state.running += 1;
  try {
    await storeUpload(context);
  } finally {
    state.running -= 1;
  }
}

async function storeUpload({ tenant, request }: PbContext): Promise<void> {
  const signal = AbortSignal.any([backupSignal(tenant), request.signal]);
  const directory = await mkdtemp(join(tenant.temporary, "upload-"));
  try {
    const path = join(directory, "upload.zip");
    const name = await receiveFile(request, path, signal);
    if (name === undefined) throw validationFailed({ file: BLANK });
    const mime = await mimeOf(path);
    if (mime !== "application/zip") {
      const shown = JSON.stringify(storedFileName({ name, mime }));
      throw validationFailed({
        file: {
          code: "validation_invalid_mime_type",
          message: `${shown} mime type must be one of: application/zip.`,
        },
      });
    }
    if (!isStoredName(name) || (await hasBackup(tenant, name, signal))) {
      throw validationFailed({
        file: {
          code: "validation_backup_name_exists",
          message: "Backup file with the specified name already exists.",
        },
      });
    }
    await storeBackup(tenant, name, path, signal);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** @returns the name of the form's first `file`, now at `path`; undefined when there is none. @throws ApiError 400, 413 */
async function receiveFile(request: Request, path: string, signal: AbortSignal): Promise<string | undefined> {
  const type = request.headers.get("content-type") ?? "";
  if (request.body === null || !type.startsWith("multipart/form-data")) return undefined;
  let name: string | undefined;
  let isTooLarge = false;
  let writing: Promise<void> | undefined;
  let form: BusboyInstance;
  try {
    form = new Busboy({
      headers: { "content-type": type },
      limits: { fileSize: limits.backupBytesMax, files: 1, fields: 10, fieldSize: 1024 },
    });
  } catch (cause) {
    throw badRequest("", undefined, cause);
  }
  form.on("file", (field, stream, fileName) => {
    if (field !== "file" || name !== undefined) {
      stream.resume();
      return;
    }
    name = fileName;
    stream.on("limit", () => (isTooLarge = true));
    writing = pipeline(stream, createWriteStream(path), { signal });
    // Heard below, when the form is at its end.
    writing.catch(() => undefined);
  });
  try {
    await pipeline(Readable.fromWeb(request.body as never), form, { signal });
    await writing;
  } catch (cause) {
    signal.throwIfAborted();
    throw badRequest("", undefined, cause);
  }
  if (isTooLarge) throw new ApiError(413, "Request entity too large");
  return name;
}

async function mimeOf(path: string): Promise<string> {
  const file = await open(path);
  try {
    const head = new Uint8Array(limits.sniffBytesMax);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return await sniffMime(head.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}
