/** node.md: what a node of this profile is, and what it is held to, by guide row. Pure. */
import { markdownCell } from "../formats/markdown.ts";
import { guideRows, mistakes, notProven } from "../node/guide.ts";
import type { NodePlan } from "../plan/node-plan.ts";

const levels: Readonly<Record<string, string>> = {
  gating: "gating",
  npu: "gating; a VM without NPUs leaves it out",
  advisory: "advisory",
  site: "advisory; needs the site's network",
};

const checksOfRow = (checks: NodePlan["checks"], row: string): string => {
  const lines = checks
    .filter(({ rows }) => rows.includes(row))
    .map(
      ({ id, title, level, live, help }) =>
        `| \`${markdownCell(id)}\` | ${markdownCell(title)} | ${levels[level]}${live === true ? "; looked at again and again" : ""} | ${markdownCell(help ?? "")} |\n`,
    );
  return lines.length === 0
    ? ""
    : `| check | what holds | level | when it does not |\n|---|---|---|---|\n${lines.join("")}\n`;
};

/** `a, b -> c`: what runs beside the next one is told with it. */
const chainOf = (chain: NodePlan["page"]["chain"]): string =>
  chain.map(({ text, beside }, index) => `${text}${index === chain.length - 1 ? "" : beside ? ", " : " -> "}`).join("");

const codes = (texts: readonly string[]): string => texts.map((text) => `\`${text}\``).join(", ");

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
