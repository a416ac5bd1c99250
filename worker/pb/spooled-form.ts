import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Busboy, type BusboyFileStream } from "@fastify/busboy";
import { limits } from "../../shared/limits.ts";
import { ApiError } from "./api-error.ts";

export interface SpooledForm {
  texts: [key: string, value: string][];
  /** In the order of the form. */
  files: { key: string; name: string; blob: Blob }[];
  /** Removes what is on disk; blobs are of no use after it. */
  discard(): Promise<void>;
}

/**
 * Reads a multipart form with flat memory: files above `limits.formFileMemoryBytesMax`, and all when small ones add up to
 * `limits.formMemoryBytesMax`, go to a temporary directory in `directory`.
 * @throws ApiError 413 above `bytesMax`; whatever the parser throws for a form that is broken or cut off
 */
export async function spoolForm(
  request: Request,
  type: string,
  bytesMax: number,
  directory: string,
): Promise<SpooledForm> {
  const spool = new Spool(directory);
  const texts: [string, string][] = [];
  const files: { key: string; name: string; stream: BusboyFileStream; blob: Promise<Blob> }[] = [];
  try {
    const form = new Busboy({
      headers: { "content-type": type },
      limits: { fieldSize: bytesMax, fileSize: bytesMax, parts: limits.formPartsMax },
    });
    let isCut = false;
    form.on("partsLimit", () => (isCut = true));
    form.on("field", (key, value) => void texts.push([key, value]));
    form.on("file", (key, stream, name) => {
      const blob = spool.keep(stream);
      // Heard below, when the form is at its end.
      blob.catch(() => undefined);
      files.push({ key, name: name ?? "", stream, blob });
    });
    const body = Readable.fromWeb(request.body as never);
    await pipeline(body, atMost(bytesMax), form, { signal: request.signal });
    const kept = await Promise.all(
      files.map(async ({ key, name, blob }) => ({ key, name, blob: await blob })),
    );
    if (isCut) throw tooLarge();
    return { texts, files: kept, discard: () => spool.discard() };
  } catch (error) {
    // The parser leaves the file that it was in open.
    for (const { stream } of files) stream.destroy(error as Error);
    await Promise.allSettled(files.map(({ blob }) => blob));
    await spool.discard();
    throw error;
  }
}

/** The files of one form: small ones in memory, larger ones below one temporary directory, made when the first comes. */
class Spool {
  readonly #parent: string;
  #directory: Promise<string> | undefined;
  #count = 0;
  /** Of files in memory. */
  #bytes = 0;

  constructor(parent: string) {
    this.#parent = parent;
  }

  async keep(stream: BusboyFileStream): Promise<Blob> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    let path = "";
    let file: FileHandle | undefined;
    try {
      for await (const chunk of stream as AsyncIterable<Uint8Array>) {
        if (file !== undefined) {
          await file.writeFile(chunk);
          continue;
        }
        chunks.push(chunk);
        size += chunk.length;
        this.#bytes += chunk.length;
        if (size <= limits.formFileMemoryBytesMax && this.#bytes <= limits.formMemoryBytesMax) continue;
        this.#bytes -= size;
        this.#directory ??= mkdtemp(join(this.#parent, "form-"));
        path = join(await this.#directory, String(this.#count++));
        file = await open(path, "wx", 0o600);
        for (const early of chunks.splice(0)) await file.writeFile(early);
      }
    } finally {
      await file?.close();
    }
    return file === undefined ? new Blob(chunks as Uint8Array<ArrayBuffer>[]) : Bun.file(path);
  }

  async discard(): Promise<void> {
    if (this.#directory === undefined) return;
    await rm(await this.#directory, { recursive: true, force: true });
  }
}

function atMost(bytesMax: number): Transform {
  let size = 0;
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      size += chunk.length;
      if (size > bytesMax) done(tooLarge());
      else done(null, chunk);
    },
  });
}

const tooLarge = (): ApiError => new ApiError(413, "Request entity too large");
