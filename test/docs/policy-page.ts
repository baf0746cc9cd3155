/** docs/huaweicloud-policy.md, from the table of calls. */
import { type CallRow, purposes } from "../../src/huaweicloud/call-row.ts";
import { calls } from "../../src/huaweicloud/calls.ts";

const rows: readonly CallRow[] = Object.values(calls);

const rightsOf = (of: readonly CallRow[]): string[] => [...new Set(of.flatMap(({ rights }) => rights))].toSorted();

const policy = (rights: readonly string[]): string =>
  JSON.stringify({ Version: "1.1", Statement: [{ Effect: "Allow", Action: rights }] }, null, 2).replace(/^/gm, "    ");

const global = rightsOf(rows.filter(({ service }) => service === "iam"));
const regional = rightsOf(rows.filter(({ service }) => service !== "iam"));

const looking = rightsOf(
  rows.filter((row) => row.service !== "iam" && row.for.some((purpose) => purpose === "doctor")),
);

const titles: Readonly<Record<(typeof purposes)[number], string>> = {
  doctor: "The preflight: it only looks",
  bake: "`bake image`: what Packer's plugin calls",
  catalog: "`bake catalog`: looks at images, promotes, shares, copies and removes them, and what bakes left",
  rollout: "`bake ecs create` and rollouts: servers of the fleet, their tags and their systems",
};

const table = (of: readonly CallRow[]): string =>
  [
    "| call | to | needs |",
    "|---|---|---|",
    ...of.map(
      ({ service, method, path, what, rights }) =>
        `| ${service.toUpperCase()} \`${method} ${path}\` | ${what} | ${rights.map((right) => `\`${right}\``).join(" ") || "nothing besides"} |`,
    ),
  ].join("\n");

export const policyPage = (): string => `# Huawei Cloud: the IAM policy

Made from the table of all calls (\`src/huaweicloud/calls.ts\`). The rights are named as the services' reference pages name them for
policies today; it was never tried with a real user. Some older regions know \`ecs:cloudServers:create\`, \`ecs:cloudServers:get\` and
\`ecs:cloudServers:delete\` in the place of \`createServers\`, \`showServer\` and \`deleteServers\`.

IAM keeps rights of global services and those of a region in two policies. Give both to the group of the user whose access key bakes, the
second for the region's project alone. For the preflight by itself these of the second are enough:
${looking.map((right) => `\`${right}\``).join(", ")}.

A policy for global services; not needed where \`HW_PROJECT_ID\` is set:

${policy(global)}

A policy for the region:

${policy(regional)}

The list of servers answers their user-data, and user-data may hold secrets: who may list servers may read those. bake keeps none of it.

${purposes.map((purpose) => `## ${titles[purpose]}\n\n${table(rows.filter((row) => row.for.includes(purpose)))}`).join("\n\n")}
`;
