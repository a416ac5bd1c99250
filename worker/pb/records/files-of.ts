import type { RecordChange, RecordData } from "../../model/contract.ts";

/** The names of all files that a record holds. */
export function filesOf(record: RecordData): string[] {
  const names: string[] = [];
  for (const field of record.collection.fields) {
    if (field.type !== "file") continue;
    const value = record.values[field.name];
    if (Array.isArray(value)) names.push(...value.filter((name): name is string => typeof name === "string"));
    else if (typeof value === "string" && value !== "") names.push(value);
  }
  return names;
}

/** The names of files that a change lets go. */
export function droppedFiles(change: RecordChange): string[] {
  const old = change.action === "create" ? undefined : (change.before ?? change.record);
  if (old === undefined) return [];
  const kept = new Set(change.action === "delete" ? [] : filesOf(change.record));
  return filesOf(old).filter((name) => !kept.has(name));
}
