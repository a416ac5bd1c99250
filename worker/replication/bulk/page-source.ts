import { SystemError } from "../../../shared/errors.ts";
import type { LtxHeader, LtxPage } from "../../../shared/ltx/ltx.ts";
import { LtxStreamDecoder } from "../../../shared/ltx/stream-decode.ts";
import type { LtxPageSource } from "../../../shared/ltx/stream-merge.ts";
import type { BulkInput } from "./work.ts";

/** An LTX file under way, as pages. Its end is its proof: checksum, hash and TXIDs. */
export class PageSource implements LtxPageSource {
  readonly header: LtxHeader;
  readonly #decoder: LtxStreamDecoder;
  readonly #input: BulkInput;
  readonly #read: () => Promise<Uint8Array | undefined>;
  readonly #hasher: Bun.CryptoHasher | undefined;

  private constructor(
    header: LtxHeader,
    parts: {
      decoder: LtxStreamDecoder;
      input: BulkInput;
      read: () => Promise<Uint8Array | undefined>;
      hasher: Bun.CryptoHasher | undefined;
    },
  ) {
    this.header = header;
    this.#decoder = parts.decoder;
    this.#input = parts.input;
    this.#read = parts.read;
    this.#hasher = parts.hasher;
  }

  /** @throws SystemError `object_corrupt`, `object_version`, `object_foreign` */
  static async open(input: BulkInput, read: () => Promise<Uint8Array | undefined>): Promise<PageSource> {
    const decoder = new LtxStreamDecoder();
    const hasher = input.sha256 === undefined ? undefined : new Bun.CryptoHasher("sha256");
    while (decoder.header === undefined) {
      const bytes = await read();
      try {
        if (bytes === undefined) decoder.end();
        else {
          hasher?.update(bytes);
          decoder.push(bytes);
          decoder.readHeader();
        }
      } catch (error) {
        throw named(error, input.name);
      }
    }
    const { header } = decoder;
    if (header.minTxid !== input.minTxid || header.maxTxid !== input.maxTxid) {
      throw new SystemError("object_foreign", `Cannot read ${input.name}: it holds other TXIDs`, {
        hint: "The object was moved or exchanged. Put the right one back from the bucket's versions.",
        details: { minTxid: header.minTxid, maxTxid: header.maxTxid },
      });
    }
    return new PageSource(header, { decoder, input, read, hasher });
  }

  /** Pages so far. */
  get count(): number {
    return this.#decoder.count;
  }

  next(): LtxPage | undefined | Promise<LtxPage | undefined> {
    const found = this.#take();
    return found === "more" ? this.#later() : found;
  }

  async #later(): Promise<LtxPage | undefined> {
    for (;;) {
      const bytes = await this.#read();
      if (bytes === undefined) break;
      this.#hasher?.update(bytes);
      this.#decoder.push(bytes);
      const found = this.#take();
      if (found !== "more") return found;
    }
    try {
      this.#decoder.end();
    } catch (error) {
      throw named(error, this.#input.name);
    }
    const { sha256, name } = this.#input;
    if (this.#hasher !== undefined && this.#hasher.digest("base64url") !== sha256) {
      throw new SystemError("object_corrupt", `Cannot read ${name}: it is not what the log refers to`);
    }
    return undefined;
  }

  #take(): LtxPage | "more" {
    try {
      return this.#decoder.next();
    } catch (error) {
      throw named(error, this.#input.name);
    }
  }
}

/** The codec does not know which object it reads. */
function named(error: unknown, name: string): unknown {
  if (!(error instanceof SystemError)) return error;
  return new SystemError(error.code, `${error.message} (${name})`, {
    hint:
      error.hint ??
      "The object was damaged or changed after it was written. Put it back from the bucket's versions or a backup.",
    details: { ...error.details, key: name },
    cause: error.cause,
  });
}
