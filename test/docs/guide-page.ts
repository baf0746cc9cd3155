/** docs/guide.md: the rows of the manual guide, so that a number in a table can be looked up. */
import { errorCodes } from "../../src/error-codes.ts";
import { markdownCell } from "../../src/formats/markdown.ts";
import { asksFor, guideRows, mistakes, notProven } from "../../src/node/guide.ts";
import type { NodePlan } from "../../src/plan/node-plan.ts";

const levels: Readonly<Record<string, string>> = {
  gating: "keeps jobs away",
  npu: "keeps jobs away, where there are NPUs",
  advisory: "reported",
  site: "reported; needs the site's network",
};

/** One check of each kind: `npu-davinci0` stands for all of them. */
const kindOf = (id: string): string => id.replace(/\d+$/, "<i>");

const checksOf = (checks: NodePlan["checks"], row: string): string => {
  const lines = new Map<string, string>();
  for (const { id, title, level, rows } of checks) {
    if (!rows.includes(row) || lines.has(kindOf(id))) continue;
    lines.set(kindOf(id), `| \`${markdownCell(kindOf(id))}\` | ${markdownCell(title)} | ${levels[level]} |\n`);
  }
  return lines.size === 0 ? "" : `| check | what it asks | a failure |\n|---|---|---|\n${[...lines.values()].join("")}`;
};

/** Errors whose words name the row. */
const codesOf = (row: string): string[] =>
  Object.entries(errorCodes).flatMap(([code, { title, text }]) =>
    new RegExp(`\\b${row}\\b`).test(text) ? [`[${code}](errors.md#${anchor(`${code}: ${title}`)})`] : [],
  );

/** As GitHub makes them of headings. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

/** @param checks Of a profile that asks for everything. */
export const guidePage = (checks: NodePlan["checks"]): string => {
  const sections = guideRows.map(({ row, subject, truth, mistakes: made }) => {
    const why = notProven[row];
    const asked = asksFor[row];
    const codes = codesOf(row);
    const instead = mistakes.filter(({ id }) => made.includes(id)).map(({ id, instead: what }) => `- ${id}: ${what}\n`);
    return [
      `## ${row}\n\n**${subject}.** ${truth}\n`,
      ...(asked === undefined ? [] : [`Only with \`${asked}\` of the profile.\n`]),
      ...(codes.length === 0 ? [] : [`Before anything is baked, the profile is held to it by ${codes.join(", ")}.\n`]),
      checksOf(checks, row),
      ...(why === undefined ? [] : [`Not proven in a VM: ${why}.\n`]),
      ...(instead.length === 0
        ? []
        : [`Known mistakes of the manual way, and what happens instead:\n\n${instead.join("")}`]),
    ]
      .filter((part) => part !== "")
      .join("\n");
  });
  return `# The guide's rows

bake replaces a guide by which hosts were set up by hand. Its steps have numbers, G1 to G28, and its known mistakes S1 to S29; tables,
reports and errors cite them. This page says what each row asks of a node, and which check proves it. Checks are those of a profile that asks
for everything; \`out/NAME/node.md\` has those of yours, with what to do when one fails ([node.md](node.md) is 2cards'). A host that was set up
by hand is asked the same by \`bake check --host\` ([check.md](check.md)).

${guideRows.map(({ row, subject }) => `[${row}](#${row.toLowerCase()}) ${subject}`).join(" · ")}

${sections.join("\n")}`;
};
