import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { plainName } from "../../../worker/encryption/names.ts";

/**
 * The store without keys: LTX files of encrypted tenants are listed under the names that rooms know, their content stays sealed.
 * @param hidden - keys that are to be taken for gone
 */
export function listedPlainly(store: ObjectStore, hidden: ReadonlySet<string> = new Set()): ObjectStore {
  return {
    kind: store.kind,
    description: store.description,
    putIfAbsent: (key, body, options) => store.putIfAbsent(key, body, options),
    put: (key, body, options) => store.put(key, body, options),
    get: (key, options) => store.get(key, options),
    range: (key, range, options) => store.range(key, range, options),
    head: (key, options) => store.head(key, options),
    delete: (keys, options) => store.delete(keys, options),
    copy: (from, to, options) => store.copy(from, to, options),
    thaw: (key, days, options) => store.thaw(key, days, options),
    close: () => store.close(),
    async list(options) {
      const page = await store.list(options);
      const objects = page.objects.map((object) => ({ ...object, key: plainName(object.key) }));
      return { ...page, objects: objects.filter(({ key }) => !hidden.has(key)) };
    },
  };
}
