/** Every kind of character, length and neighbourhood that a driver could mistake. */
export const ODD_KEYS = [
  "plain",
  "a",
  "a/b",
  "A",
  "A/b",
  "a=",
  "a+",
  "a%2F",
  ".hidden/.file",
  "...",
  "space and 'quotes' \"double\" & <xml>",
  "back\\slash:colon*star?question|pipe",
  "tilde~/bang!/paren(s)",
  "é/e\u0301",
  "日本語/キー",
  "\u{1F600}/emoji",
  "\uFFFD",
  "con",
  "x.",
  "0000000000000001",
  "0000000000000001.wlog",
  "00000000000000ff-0000000000000100.ltx",
  "0000000000000",
  "0000000000000-",
  "0000000000000/",
  "abcdefghijklmno/pqrstuvwxyz0123",
  "ab",
  "ab-",
  "ab/c",
  "ab0",
  "L".repeat(960),
  `${"l".repeat(200)}/x`,
  `${"l".repeat(200)}-`,
  "l".repeat(200),
  `${"l".repeat(200)}m`,
  "ö".repeat(400),
].filter((key) => !key.endsWith("/"));

export async function caught(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Bytes that differ from place to place, so that a swapped piece shows. */
export function pattern(length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(at + 1, 2_654_435_761);
  return new Uint8Array(words.buffer, 0, length);
}

export function streamed(
  body: Uint8Array,
  chunk = 300_000,
): { stream: ReadableStream<Uint8Array>; length: number } {
  let at = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= body.length) return controller.close();
      controller.enqueue(body.subarray(at, at + chunk));
      at += chunk;
    },
  });
  return { stream, length: body.length };
}

export const digest = (bytes: Uint8Array | undefined): string =>
  bytes === undefined ? "nothing" : new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

export async function drain(reader: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<void> {
  while (reader !== undefined && !(await reader.read()).done);
}
