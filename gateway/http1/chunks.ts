import { ProtocolError } from "./fields.ts";

const LINE_BYTES_MAX = 1024;
const TRAILER_BYTES_MAX = 16 * 1024;

type Place = "size" | "data" | "after data" | "trailer" | "end";

/** Takes a chunked body apart, whatever pieces it comes in. Chunk extensions and trailers are dropped. */
export class ChunkReader {
  #place: Place = "size";
  #line = "";
  #left = 0;
  #trailerBytes = 0;

  get ended(): boolean {
    return this.#place === "end";
  }

  /**
   * @returns the data in these bytes, as views of them, and how many bytes were taken: all but what follows the end
   * @throws ProtocolError
   */
  read(bytes: Uint8Array<ArrayBuffer>): { data: Uint8Array<ArrayBuffer>[]; taken: number } {
    const data: Uint8Array<ArrayBuffer>[] = [];
    let at = 0;
    while (at < bytes.length && this.#place !== "end") {
      if (this.#place === "data") {
        const part = bytes.subarray(at, at + this.#left);
        data.push(part);
        at += part.length;
        this.#left -= part.length;
        if (this.#left === 0) this.#place = "after data";
        continue;
      }
      const end = bytes.indexOf(10, at);
      const until = end < 0 ? bytes.length : end + 1;
      this.#line += String.fromCharCode(...bytes.subarray(at, Math.min(until, at + LINE_BYTES_MAX + 1)));
      if (this.#line.length > LINE_BYTES_MAX) throw new ProtocolError("a long line between chunks");
      at = until;
      if (end >= 0) this.#endLine();
    }
    return { data, taken: at };
  }

  #endLine(): void {
    const line = this.#line;
    this.#line = "";
    if (!line.endsWith("\r\n")) throw new ProtocolError("a bare line feed");
    if (this.#place === "after data") {
      if (line !== "\r\n") throw new ProtocolError("a chunk longer than it says");
      this.#place = "size";
    } else if (this.#place === "size") {
      const size = /^([0-9a-fA-F]{1,12})(?:[ \t]*;[^\r\n]*)?\r\n$/.exec(line)?.[1];
      if (size === undefined) throw new ProtocolError("a malformed chunk size");
      this.#left = Number.parseInt(size, 16);
      this.#place = this.#left === 0 ? "trailer" : "data";
    } else if (line === "\r\n") {
      this.#place = "end";
    } else {
      this.#trailerBytes += line.length;
      if (this.#trailerBytes > TRAILER_BYTES_MAX) throw new ProtocolError("long trailers");
    }
  }
}
