/** report.html: what was baked and what came of checking it, as one page that loads nothing. Pure. */
import { exitCodeOfAll } from "../check/compare.ts";
import { redact } from "../check/redact.ts";
import type { CheckResult } from "../check/results.ts";
import { element, type Html, page } from "../formats/html.ts";
import { bootsOf } from "./boot.ts";
import { checksOfHosts, checksOfOne, verdictOf } from "./checks.ts";
import { imageOf, sizesOf } from "./image.ts";
import type { Report, ReportedNode } from "./input.ts";
import { count, outcomeMark, shownTime } from "./parts.ts";
import { stepsOf } from "./steps.ts";
import { style } from "./style.ts";

/** Without what looks like a secret, and without the values in `secrets`: what a node, a job or goss said may hold any of them. */
const redacted = (node: ReportedNode, secrets: readonly string[]): ReportedNode => {
  const clean = (text: string): string => redact(text, secrets);
  const result = ({ detail, expected, found, ...rest }: CheckResult): CheckResult => ({
    ...rest,
    ...(detail !== undefined && { detail: clean(detail) }),
    ...(expected !== undefined && { expected: clean(expected) }),
    ...(found !== undefined && { found: clean(found) }),
  });
  return {
    ...node,
    results: node.results.map(result),
    problems: node.problems.map(clean),
    ...(node.facts !== undefined && { facts: node.facts.map(([name, value]) => [name, clean(value)] as const) }),
    ...(node.panics !== undefined && { panics: node.panics.map(clean) }),
    ...(node.boots !== undefined && {
      boots: node.boots.map((boot) => ({
        ...boot,
        jobs: boot.jobs.map((job) => ({ ...job, log: clean(job.log) })),
      })),
    }),
  };
};

/** The verdict, in words, about one or all. */
const leadOf = (nodes: readonly ReportedNode[]): Html => {
  const [first] = nodes;
  if (first === undefined) return outcomeMark("not checked");
  if (nodes.length === 1) return outcomeMark(...verdictOf(first));
  const code = exitCodeOfAll(nodes);
  const failed = nodes.filter((node) => verdictOf(node)[0] === "failed").length;
  const silent = nodes.filter((node) => verdictOf(node)[0] === "no answer").length;
  if (code === 1) return outcomeMark("failed", `${failed} of ${count(nodes.length, "host")} failed`);
  return code === 2
    ? outcomeMark("no answer", `${silent} of ${count(nodes.length, "host")} could not be checked`)
    : outcomeMark("passed", `${count(nodes.length, "host")} passed`);
};

/**
 * The page. Pure.
 * @param secrets Values that must not be seen, besides what looks like a secret.
 */
export const reportPage = (report: Report, secrets: readonly string[] = []): string => {
  const { profile, image, version, at, steps, disk } = report;
  const nodes = report.nodes.map((node) => redacted(node, secrets));
  const [node] = nodes;
  // A host has no boot that was seen; of one host there is a row too.
  const isImage = image !== undefined || node?.boots !== undefined;
  const parts: readonly (readonly [id: string, title: string, part: Html | undefined])[] = [
    [
      "checks",
      isImage ? "Checks" : "Hosts",
      node === undefined ? undefined : isImage ? checksOfOne(node) : checksOfHosts(nodes),
    ],
    ["boot", "Boot", node === undefined || !isImage ? undefined : bootsOf(node)],
    ["image", "What was baked", image === undefined ? undefined : imageOf(image)],
    ["sizes", "Sizes", sizesOf(image, disk)],
    ["steps", "Times", stepsOf(steps)],
  ];
  const there = parts.filter(([, , part]) => part !== undefined);
  const what = isImage ? "image" : nodes.length === 1 ? "host" : "hosts";
  return page({
    lang: "en",
    title: `${profile}: ${what} (bake)`,
    style,
    body: [
      element("a", { class: "skip", href: "#main" }, "To the content"),
      element(
        "header",
        {},
        element("h1", {}, profile, " ", element("span", {}, what)),
        element("p", { class: "lead" }, leadOf(nodes), " ", element("time", { datetime: at }, shownTime(at))),
        report.trial
          ? element("p", { class: "trial" }, "This is a TRIAL: made from stand-in sources, not for production.")
          : undefined,
        element(
          "nav",
          { "aria-label": "Parts of this page" },
          element("ul", {}, ...there.map(([id, title]) => element("li", {}, element("a", { href: `#${id}` }, title)))),
        ),
      ),
      "\n",
      element("main", { id: "main" }, ...there.map(([, , part]) => part)),
      "\n",
      element("footer", {}, element("p", {}, `Made by bake ${version}. This page is one file: it loads nothing.`)),
    ],
  });
};
