/** Control's only way to the object store drivers (shared/decisions/0001-control-uses-the-worker-object-drivers.md). */
export { openObjectStore } from "../worker/objects/open.ts";
