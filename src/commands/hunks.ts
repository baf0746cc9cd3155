/** Differences of texts, as commands show them. */
import { unifiedHunks } from "../formats/line-diff.ts";

/** Lines of one file's difference that are shown: a file that is another altogether says no more in thousands. */
const mostLines = 200;

/** Hunks as `diff -u` has them, cut when there are very many lines. Pure. */
export const shownHunks = (from: string, to: string): string => {
  const lines = unifiedHunks(from, to).join("\n").split("\n");
  const left = lines.length - mostLines;
  return left > 0 ? [...lines.slice(0, mostLines), `... ${left} more lines`].join("\n") : lines.join("\n");
};
