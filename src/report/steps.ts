/** What each step of a bake took, against the last time. Pure. */
import { type Child, element, type Html } from "../formats/html.ts";
import { formatSeconds } from "../host/progress.ts";
import { bar } from "./charts.ts";
import type { ReportedStep } from "./input.ts";
import { section, table } from "./parts.ts";

/** `packer:seed` is a part of `packer`, where that is a step too. */
const wholeOf = ({ id }: ReportedStep, steps: readonly ReportedStep[]): string | undefined => {
  const whole = id.slice(0, id.indexOf(":"));
  return steps.some((step) => step.id === whole) ? whole : undefined;
};

/** Parts stand behind what they are parts of; of one that was done twice the second counts. */
const inOrder = (steps: readonly ReportedStep[]): { readonly step: ReportedStep; readonly isPart: boolean }[] => {
  const last = [...new Map(steps.map((step) => [step.id, step])).values()];
  return last.flatMap((step) =>
    wholeOf(step, last) !== undefined
      ? []
      : [
          { step, isPart: false },
          ...last
            .filter((each) => each.id !== step.id && wholeOf(each, last) === step.id)
            .map((part) => ({ step: part, isPart: true })),
        ],
  );
};

/** `+12 %`; small differences of short steps say nothing. */
const changeOf = ({ seconds, last }: ReportedStep): string => {
  if (last === undefined || last === 0 || Math.abs(seconds - last) < 1) return "";
  const percent = Math.round((seconds / last - 1) * 100);
  return percent === 0 ? "" : `${percent > 0 ? "+" : "−"}${Math.abs(percent)} %`;
};

/** Steps with their times; nothing where there were none. */
export const stepsOf = (steps: readonly ReportedStep[]): Html | undefined => {
  if (steps.length === 0) return undefined;
  const rows = inOrder(steps);
  const end = Math.max(1, ...steps.flatMap(({ seconds, last = 0 }) => [seconds, last]));
  const name = (step: ReportedStep, isPart: boolean): Child =>
    isPart ? element("span", { class: "part" }, step.title) : step.title;
  return section(
    "steps",
    "Times",
    element("p", {}, "The thin bar is the last time on this machine."),
    table(
      "What each step took",
      [
        { head: "step" },
        { head: "took", kind: "number" },
        { head: "last time", kind: "number" },
        { head: "change", kind: "number" },
        { head: element("span", { class: "hidden" }, "share"), kind: "bar" },
      ],
      rows.map(({ step, isPart }) => [
        name(step, isPart),
        formatSeconds(step.seconds),
        step.last === undefined ? "–" : formatSeconds(step.last),
        changeOf(step),
        bar([
          { from: 0, to: step.seconds / end, kind: isPart ? "quiet" : "main" },
          ...(step.last === undefined ? [] : [{ from: 0, to: step.last / end, kind: "before" }]),
        ]),
      ]),
      "chart steps",
    ),
  );
};
