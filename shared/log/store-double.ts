import type { ObjectStore } from "../objects/contract.ts";

/** For tests: a store with only what a sealer may use; all else throws. */
export function storeDouble(methods: Pick<ObjectStore, "putIfAbsent" | "list" | "range">): ObjectStore {
  const missing = (): never => {
    throw new Error("a sealer has no business with this");
  };
  return {
    kind: "file",
    description: "fake",
    put: missing,
    get: missing,
    head: missing,
    delete: missing,
    copy: missing,
    thaw: missing,
    close: missing,
    ...methods,
  };
}
