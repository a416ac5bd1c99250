import type { RecordData } from "../../model/contract.ts";

/** A record on its way out, with what of it may be shown and the related records found so far. */
export interface ExpandNode {
  readonly record: RecordData;
  readonly hidden: boolean;
  email: boolean;
  /** Absent until a valid expand path touched the record; empty when the path led to nothing. */
  expand: Map<string, ExpandNode | ExpandNode[]> | undefined;
}
