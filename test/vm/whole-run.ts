/** What `bake image --trial` of a profile with four agents of two cards has to print. */
import { expect } from "vitest";

/** Rows that a VM cannot prove whole: NPUs, and the site's own services. */
const left = ["G5", "G11", "G12", "G13", "G25"];

/** Baked, booted twice, four agents that built, every row of the guide passed or, where a VM cannot prove it, not checked. */
export const expectWholeRun = (
  profile: string,
  { code, output }: { readonly code: number; readonly output: string },
) => {
  expect(code, output).toBe(0);
  for (const index of [1, 2, 3, 4]) {
    const jobs = output.match(
      new RegExp(`^  bake-check-${profile}-${index}-2cards: exit 0 in .*: [2-9] steps CACHED$`, "gm"),
    );
    // All four after the first boot; after the reboot the first one, whose job looks for the metadata service too.
    expect(jobs, `agent ${index}`).toHaveLength(index === 1 ? 2 : 1);
  }
  // Row by row: what a VM cannot prove says so, nothing failed.
  const rows = [...output.matchAll(/^ +(G\d+) .*? (passed|failed|not checked) /gm)].map(([, row, outcome]) => [
    row,
    outcome,
  ]);
  expect(rows).toHaveLength(28);
  for (const [row, outcome] of rows) {
    expect(outcome, row).toMatch(left.includes(row ?? "") ? /^(passed|not checked)$/ : /^passed$/);
  }
};
