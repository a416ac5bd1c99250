const PAGE_BYTES = 16 * 1024;

/** Bytes that grow at the end without being copied, as large files do. Behind `length` they are zeros. */
export class PagedBytes {
  #pages: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** At most up to the end. */
  slice(start: number, end: number): Uint8Array {
    const last = Math.min(end, this.#length);
    const found = new Uint8Array(Math.max(0, last - start));
    for (let at = start; at < last; at = pageEnd(at, last)) {
      const from = at % PAGE_BYTES;
      found.set(this.#pageAt(at).subarray(from, from + pageEnd(at, last) - at), at - start);
    }
    return found;
  }

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    for (let at = position; at < end; at = pageEnd(at, end)) {
      this.#pageAt(at).set(bytes.subarray(at - position, pageEnd(at, end) - position), at % PAGE_BYTES);
    }
    this.#length = Math.max(this.#length, end);
  }

  truncate(length: number): void {
    if (length >= this.#length) return;
    this.#pages.length = Math.ceil(length / PAGE_BYTES);
    if (length % PAGE_BYTES > 0) this.#pages.at(-1)?.fill(0, length % PAGE_BYTES);
    this.#length = length;
  }

  #pageAt(position: number): Uint8Array {
    const index = Math.floor(position / PAGE_BYTES);
    while (this.#pages.length <= index) this.#pages.push(new Uint8Array(PAGE_BYTES));
    return this.#pages[index]!;
  }
}

function pageEnd(position: number, end: number): number {
  return Math.min(end, position - (position % PAGE_BYTES) + PAGE_BYTES);
}
