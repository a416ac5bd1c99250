import type { Group, Operand } from "../../../shared/filter/ast.ts";
import { FilterError } from "../../../shared/filter/error.ts";

/** Logs are no records: a filter names their columns and what is in `data`, nothing of the request, and modifies neither. @throws FilterError */
export function refuseForeignNames(group: Group): void {
  for (const { item } of group.items) {
    if (item.type === "group") refuseForeignNames(item);
    else for (const operand of [item.left, item.right]) refuseForeign(operand);
  }
}

function refuseForeign(operand: Operand): void {
  if (operand.type === "function") operand.args.forEach(refuseForeign);
  if (operand.type !== "identifier") return;
  const { name } = operand;
  if (!/^@(?:request|collection)\b/.test(name) && (name.startsWith("data.") || !name.includes(":"))) return;
  throw new FilterError(`Cannot filter logs by ${name}: it is not theirs`);
}
