/** Columns padded to their widest cell, for a terminal. */
export function table(head: readonly string[], rows: readonly string[][], empty: string): string {
  if (rows.length === 0) return empty;
  const all = [[...head], ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return all
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
