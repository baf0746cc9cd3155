/** Columns of equal width, but for the last. Pure. @param widest Of a column; longer cells push what follows to the right. */
export const formatTable = (rows: readonly (readonly string[])[], widest = 48): string => {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.min(widest, Math.max(...rows.map((row) => (row[column] ?? "").length))),
  );
  return rows
    .map((row) =>
      `  ${row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join("  ")}`.trimEnd(),
    )
    .join("\n");
};
