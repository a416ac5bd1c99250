import { createHash } from "node:crypto";
import { limits } from "../../shared/limits.ts";
import { contentTypeOf, sniffMime } from "./mime.ts";

/** Behind the name of a stored file: the name of what describes it. */
export const ATTRIBUTES = ".attrs";

/**
 * What PocketBase keeps beside each file of its local storage (the sidecar of gocloud.dev/blob/fileblob). It never makes one for a
 * file that is there already: without it the file is a download of unknown type.
 */
export class FileAttributes {
  readonly #md5 = createHash("md5");
  #head = Buffer.alloc(0);

  /** The chunks as they are. */
  async *watch<Chunk extends Uint8Array>(chunks: AsyncIterable<Chunk>): AsyncGenerator<Chunk> {
    for await (const chunk of chunks) {
      this.#md5.update(chunk);
      const missing = limits.sniffBytesMax - this.#head.length;
      if (missing > 0) this.#head = Buffer.concat([this.#head, chunk.subarray(0, missing)]);
      yield chunk;
    }
  }

  /** Once all chunks have passed. */
  async json(): Promise<string> {
    const text = JSON.stringify({
      "user.cache_control": "",
      "user.content_disposition": "",
      "user.content_encoding": "",
      "user.content_language": "",
      "user.content_type": contentTypeOf(await sniffMime(this.#head), this.#head),
      "user.metadata": null,
      md5: this.#md5.digest("base64"),
    });
    return `${text}\n`;
  }
}
