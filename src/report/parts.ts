/** What all parts of a report are put together from. Pure. */
import { type Child, element, type Html } from "../formats/html.ts";
import type { Outcome } from "../check/results.ts";
import type { Fact } from "./input.ts";

const marks: Readonly<Record<Outcome, readonly [sign: string, kind: string]>> = {
  passed: ["✓", "passed"],
  failed: ["✗", "failed"],
  "no answer": ["?", "silent"],
  "not checked": ["–", "unchecked"],
};

/** An outcome by sign, word and colour: none of them alone. */
export const outcomeMark = (outcome: Outcome, words: string = outcome): Html => {
  const [sign, kind] = marks[outcome];
  return element(
    "span",
    { class: `mark ${kind}` },
    element("span", { "aria-hidden": "true" }, sign),
    " ",
    element("span", { class: "word" }, words),
  );
};

/** A part of the page that can be led to. */
export const section = (id: string, title: string, ...body: readonly Child[]): Html =>
  element(
    "section",
    { id, "aria-labelledby": `${id}-title` },
    element("h2", { id: `${id}-title` }, title),
    ...body,
    "\n",
  );

/** Names and values. */
export const factList = (facts: readonly Fact[]): Html =>
  element(
    "dl",
    { class: "facts" },
    ...facts.map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, element("span", { class: "value" }, value))),
    ),
  );

/** A column of a table: its heading, and the class of its cells. */
export interface Column {
  readonly head: Child;
  readonly kind?: "number" | "digest" | "bar" | "words";
}

/**
 * A table whose rows become blocks where the page is narrow: the roles say what they are then too.
 * @param label What it is, for those who do not see it.
 * @param rows The first cell of each names the row.
 */
export const table = (
  label: string,
  columns: readonly Column[],
  rows: readonly (readonly Child[])[],
  kind?: string,
): Html => {
  const heads = columns.map(({ head, kind: of }) =>
    element("th", { scope: "col", role: "columnheader", ...(of !== undefined && { class: of }) }, head),
  );
  const cell = (child: Child, index: number): Html => {
    const of = columns[index]?.kind;
    const attributes = of === undefined ? {} : { class: of };
    return index === 0
      ? element("th", { scope: "row", role: "rowheader", ...attributes }, child)
      : element("td", { role: "cell", ...attributes }, child);
  };
  return element(
    "table",
    { "aria-label": label, role: "table", ...(kind !== undefined && { class: kind }) },
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...heads)),
    element(
      "tbody",
      { role: "rowgroup" },
      ...rows.flatMap((cells) => ["\n", element("tr", { role: "row" }, ...cells.map(cell))]),
    ),
  );
};

/** `1 row`, `2 rows`. */
export const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;

/** `2026-11-27 03:04 UTC`, of a time as ISO 8601 has it. */
export const shownTime = (at: string): string =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d.*Z$/.test(at) ? `${at.slice(0, 10)} ${at.slice(11, 16)} UTC` : at;
