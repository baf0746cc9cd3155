/** docs/errors.md, from the table of codes and from the cases that the tests run. */
import { errorCodes } from "../../src/error-codes.ts";
import { negativeCases, reportOf } from "../negative/reports.ts";

/** The reports of all cases, one text a problem, with the case's name. Made here: expected.txt may be of before. */
const reports = (): { name: string; report: string }[] =>
  negativeCases.flatMap((name) => reportOf(name).problems.map((report) => ({ name, report: report.trimEnd() })));

/** Cases that say more than the first one by name. */
const preferred: Readonly<Record<string, string>> = {
  BK101: "yaml-syntax",
  BK106: "extends-missing",
  BK102: "enum-misspelt",
  BK103: "unknown-key",
  BK104: "extends-removes",
  BK108: "extends-list-edits",
  BK112: "docker-29",
  BK115: "address-pool-over-the-cache",
  BK118: "token-pasted",
  BK119: "npus-not-enough",
  BK121: "buildkit-moving-tag",
};

const ranges = [
  ["BK1", "The profile"],
  ["BK2", "Lock and store"],
  ["BK3", "The machine where bake runs"],
  ["BK4", "The bake"],
  ["BK5", "Checking images and hosts"],
  ["BK6", "User-data"],
  ["BK7", "Rolling out"],
] as const;

export const errorsPage = (): string => {
  const all = reports();
  const example = (code: string): string => {
    const shown = all.filter(({ report }) => report.includes(`[${code}]: `));
    const best = shown.find(({ name }) => name === preferred[code]) ?? shown[0];
    return best === undefined ? "" : `\n${best.report.replace(/^(?=.)/gm, "    ")}\n`;
  };
  const sections = ranges.map(([prefix, title]) => {
    const codes = Object.entries(errorCodes).filter(([code]) => code.startsWith(prefix));
    return `## ${title}\n\n${codes.map(([code, { title: what, text }]) => `### ${code}: ${what}\n\n${text}\n${example(code)}`).join("\n")}`;
  });
  return `# Errors

Every error has a code that never changes its meaning. Problems of a profile come all at once, each with its place; \`-->\` names file,
line and column. \`bake validate --format json\` (or \`--json\`), \`github\` and \`sarif\` tell the same to programs. A value that
looks like a secret is starred out everywhere.

Every command with \`--json\` that ends badly before it told anything prints one line to standard output, of one shape:
\`{ "ok": false, "diagnostics": [...], "failure": { "code", "message", "help" } }\`; \`failure\` is absent where the profile's problems ended it.

A warning does not stop anything.

## Exit codes

| code | what |
|---|---|
| 0 | ok |
| 1 | findings: the answer is there, and it is not good |
| 2 | failure: there is no answer, or nothing was done; wrong usage too |
| 130, 143 | stopped by Ctrl-C, by SIGTERM |

1 speaks of what the command looks at, so a profile with errors ends in one of two ways:

- \`validate\`, \`render\`, \`lock\`, \`fetch\`, \`image\` and \`user-data\` look at the profile: its errors are findings, 1.
- \`check\`, \`doctor\`, \`diff\`, \`catalog\`, \`ecs\`, \`rollout\` and \`pipeline\` look at hosts, images, a cloud, Buildkite, or at what differs. Their 1 is about
  these alone, so that CI can tell a bad host from a bad profile: it ends them with 2, before anything else is looked at.

A profile that is not there is 2 everywhere. What \`lock\` cannot get from its sources is told at the profile's lines: 1. Of several profiles the worst code counts. \`--help\` of each command says what its own codes are.

${sections.join("\n")}`;
};
