/** node.md: what a node of this profile is, and what it is held to, by guide row. Pure. */
import { markdownCell } from "../formats/markdown.ts";
import { repairs } from "../node/check.ts";
import { guideRows, mistakes, notProven } from "../node/guide.ts";
import type { NodePlan } from "../plan/node-plan.ts";

const levels: Readonly<Record<string, string>> = {
  gating: "gating",
  npu: "gating; a VM without NPUs leaves it out",
  advisory: "advisory",
  site: "advisory; needs the site's network",
};

const codes = (texts: readonly string[]): string => texts.map((text) => `\`${text}\``).join(", ");

const noticed = (live: boolean): string => (live ? "each look of the health timer" : "each tenth look");

/** Who notices it when a check that jobs wait for fails later, who brings it back without a reboot, and what the node does meanwhile. */
const mendTable = (checks: NodePlan["checks"]): string => {
  const rows = new Map<string, string[]>();
  for (const { id, level, live, repair } of checks) {
    if (level !== "gating" && level !== "npu") continue;
    const { by, until } =
      repair === undefined
        ? { by: "a person, as its help says", until: "the agents stop after their jobs" }
        : repairs[repair];
    // Those of the NPUs are asked together.
    const row = [noticed(live === true || level === "npu"), by, until].map(markdownCell).join(" | ");
    rows.set(row, [...(rows.get(row) ?? []), id]);
  }
  return [...rows].map(([row, ids]) => `| ${codes(ids)} | ${row} |\n`).join("");
};

const checksOfRow = (checks: NodePlan["checks"], row: string): string => {
  const lines = checks
    .filter(({ rows }) => rows.includes(row))
    .map(
      ({ id, title, level, live, help }) =>
        `| \`${markdownCell(id)}\` | ${markdownCell(title)} | ${levels[level]}${live === true ? "; asked by each look" : ""} | ${markdownCell(help ?? "")} |\n`,
    );
  return lines.length === 0
    ? ""
    : `| check | what holds | level | when it does not |\n|---|---|---|---|\n${lines.join("")}\n`;
};

/** `a, b -> c`: what runs beside the next one is told with it. */
const chainOf = (chain: NodePlan["page"]["chain"]): string =>
  chain.map(({ text, beside }, index) => `${text}${index === chain.length - 1 ? "" : beside ? ", " : " -> "}`).join("");

/** What concerns say of themselves, in their order, then checks by guide row. */
export const nodePage = ({ profile, checks, units, page }: NodePlan): string => {
  // How to work with a node stands before the tables that one looks things up in.
  const sections = (reference: boolean): string =>
    page.sections
      .filter((section) => (section.reference === true) === reference)
      .map(({ text }) => `${text}\n`)
      .join("\n");
  const byRow = guideRows.map(({ row, subject }) => {
    const why = notProven[row];
    return `### ${row}: ${subject}\n\n${why === undefined ? "" : `Not proven in a VM: ${why}.\n\n`}${checksOfRow(checks, row)}`;
  });
  return `# A node of profile ${profile}

Made by \`bake render\` from the profile's checks. Rows are those of the manual guide that bake replaces. *Gating* checks keep a
node from jobs; *advisory* ones are reported.

| | |
|---|---|
${page.summary.map(({ label, text }) => `| ${label} | ${markdownCell(text)} |\n`).join("")}| units, in order | ${units.map(({ name }) => name).join(", ")} |

## Boot

Units order the boot; nothing sleeps.

    ${chainOf(page.chain)}

${page.boot.map(({ text }) => `- ${text}\n`).join("")}
${sections(false)}
## When a check fails later

The same checks that open the gate are asked while the node runs. What is brought back needs no reboot; a repair that does not help
is tried again after one, two, four minutes and so on, at most an hour, and then the agents stop as for the others. A check that does
not come to its end in time is asked once more, without the others and with four times the time. Then it has *no answer*: the node takes no new jobs,
and says how loaded the machine is instead of what would be wrong.

| checks | noticed by | brought back by | until then |
|---|---|---|---|
${mendTable(checks)}
## What is where

| path | what |
|---|---|
${page.paths.map(({ paths, what }) => `| ${codes(paths)} | ${what} |\n`).join("")}
${sections(true)}
## Checks by guide row

${byRow.join("")}## The guide's mistakes, and what happens instead

| | instead |
|---|---|
${mistakes.map(({ id, instead }) => `| ${id} | ${markdownCell(instead)} |\n`).join("")}`;
};
