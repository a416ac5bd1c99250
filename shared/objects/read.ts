import type { ListedObject, ObjectStore, RequestOptions } from "./contract.ts";

/** The whole object in memory; undefined when it is not there. For objects of bounded size only. */
export async function getBytes(
  store: ObjectStore,
  key: string,
  options?: RequestOptions,
): Promise<Uint8Array | undefined> {
  const found = await store.get(key, options);
  if (found === undefined) return undefined;
  return new Uint8Array(
    await new Response(found.stream as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer(),
  );
}

/** All objects under a prefix, page by page, in byte order. */
export async function* listAll(
  store: ObjectStore,
  options: { prefix: string; startAfter?: string } & RequestOptions,
): AsyncGenerator<ListedObject> {
  let startAfter = options.startAfter;
  for (;;) {
    const page = await store.list({ ...options, ...(startAfter === undefined ? {} : { startAfter }) });
    yield* page.objects;
    if (page.next === undefined) return;
    startAfter = page.next;
  }
}
