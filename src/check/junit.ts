/** Results of a check as JUnit XML: what CI's and their plugins read. Pure. */
import { xmlText } from "../formats/xml.ts";
import type { NodeReport } from "./compare.ts";
import { type CheckResult, gates, type Outcome } from "./results.ts";

const attributes = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(([name, value]) => ` ${name}="${xmlText(String(value))}"`)
    .join("");

/** What JUnit has no word for is skipped: nobody looked. An advisory failure is one too: its message says so. */
const verdict = ({ outcome, check, detail = "", expected, found }: CheckResult): string => {
  const lines = [
    ...(expected === undefined ? [] : [`expected  ${expected}`]),
    ...(found === undefined ? [] : [`found     ${found}`]),
    ...(check.help === undefined ? [] : [`to do     ${check.help}`]),
  ].join("\n");
  const message = `${gates(check) ? "" : `${check.level}: `}${detail || outcome}`;
  if (outcome === "failed")
    return `<failure${attributes({ message, type: check.level })}>${xmlText(lines).replaceAll("&#10;", "\n")}</failure>`;
  if (outcome === "no answer") return `<error${attributes({ message, type: outcome })}/>`;
  return outcome === "not checked" ? `<skipped${attributes({ message })}/>` : "";
};

const suite = (profile: string, node: NodeReport): string => {
  const { results } = node;
  const of = (outcome: Outcome): number => results.filter((result) => result.outcome === outcome).length;
  const problems = node.problems.map((problem, index) => ({ name: `could not check (${index + 1})`, problem }));
  const cases = [
    ...results.map((result) => {
      const { check } = result;
      const name = `${check.rows.join(" ")} ${check.title}`.trim();
      const inner = verdict(result);
      const head = `    <testcase${attributes({ name: `${name} [${check.id}]`, classname: `bake.${profile}.${node.name}` })}`;
      return inner === "" ? `${head}/>` : `${head}>${inner}</testcase>`;
    }),
    ...problems.map(
      ({ name, problem }) =>
        `    <testcase${attributes({ name, classname: `bake.${profile}.${node.name}` })}><error${attributes({ message: problem, type: "could not check" })}/></testcase>`,
    ),
  ];
  const counts = {
    tests: cases.length,
    failures: of("failed"),
    errors: of("no answer") + problems.length,
    skipped: of("not checked"),
  };
  return [`  <testsuite${attributes({ name: node.name, ...counts })}>`, ...cases, "  </testsuite>"].join("\n");
};

/** The whole file. */
export const formatJunit = (profile: string, nodes: readonly NodeReport[]): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites${attributes({ name: `bake check ${profile}` })}>\n${nodes.map((node) => suite(profile, node)).join("\n")}\n</testsuites>\n`;
