/** Bytes that come in pieces and are taken in pieces of other sizes; copied only where one of ours spans two of theirs. */
export class ByteQueue {
  #chunks: Uint8Array[] = [];
  /** Consumed of the first chunk. */
  #at = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** The next `size` bytes, still in the queue; undefined when there are fewer. Good until the next call. */
  peek(size: number): Uint8Array | undefined {
    if (size > this.#length) return undefined;
    const [first] = this.#chunks;
    if (first === undefined) return new Uint8Array();
    if (first.length - this.#at < size) this.#join(size);
    return (this.#chunks[0] as Uint8Array).subarray(this.#at, this.#at + size);
  }

  /** @param size - at most `length` */
  skip(size: number): void {
    this.#at += size;
    this.#length -= size;
    for (
      let first = this.#chunks[0];
      first !== undefined && this.#at >= first.length;
      [first] = this.#chunks
    ) {
      this.#at -= first.length;
      this.#chunks.shift();
    }
  }

  /** Makes the first chunk hold `size` bytes and what else is in the chunks that it takes them from stays where it is. */
  #join(size: number): void {
    const joined = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      const first = this.#chunks[0] as Uint8Array;
      const part = first.subarray(this.#at, this.#at + size - filled);
      joined.set(part, filled);
      filled += part.length;
      this.#at += part.length;
      if (this.#at < first.length) break;
      this.#chunks.shift();
      this.#at = 0;
    }
    const rest = this.#chunks[0];
    if (rest !== undefined) this.#chunks[0] = rest.subarray(this.#at);
    this.#chunks.unshift(joined);
    this.#at = 0;
  }
}
