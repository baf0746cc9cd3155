/** docs/huaweicloud-policy.md, from the table of calls. */
import { type CallRow, purposes } from "../../src/huaweicloud/call-row.ts";
import { calls } from "../../src/huaweicloud/calls.ts";
import { obsCalls } from "../../src/huaweicloud/obs/calls.ts";

const rows: readonly CallRow[] = [...Object.values(calls), ...Object.values(obsCalls)];

/** Services whose rights are not those of one region. */
const isGlobal = ({ service }: CallRow): boolean => service === "iam" || service === "obs";

const rightsOf = (of: readonly CallRow[]): string[] => [...new Set(of.flatMap(({ rights }) => rights))].toSorted();

const policy = (rights: readonly string[]): string =>
  JSON.stringify({ Version: "1.1", Statement: [{ Effect: "Allow", Action: rights }] }, null, 2).replace(/^/gm, "    ");

const global = rightsOf(rows.filter(isGlobal));
const regional = rightsOf(rows.filter((row) => !isGlobal(row)));

const looking = rightsOf(rows.filter((row) => !isGlobal(row) && row.for.some((purpose) => purpose === "doctor")));

const titles: Readonly<Record<(typeof purposes)[number], string>> = {
  doctor: "The preflight: it only looks",
  bake: "`bake image`: what Packer's plugin calls",
  catalog: "`bake catalog`: looks at images, promotes, shares, copies, imports and removes them, and what was left",
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

Made from the tables of all calls (\`src/huaweicloud/calls.ts\`, \`src/huaweicloud/obs/calls.ts\`). The rights are named as the services' reference pages name them for
policies today; it was never tried with a real user. Some older regions know \`ecs:cloudServers:create\`, \`ecs:cloudServers:get\` and
\`ecs:cloudServers:delete\` in the place of \`createServers\`, \`showServer\` and \`deleteServers\`.

IAM keeps rights of global services and those of a region in two policies. Give both to the group of the user whose access key bakes, the
second for the region's project alone. For the preflight by itself these of the second are enough:
${looking.map((right) => `\`${right}\``).join(", ")}.

A policy for global services. The right of IAM is not needed where \`HW_PROJECT_ID\` is set, those of the object storage (OBS) only by
\`bake catalog import\` and to find what it left:

${policy(global)}

A policy for the region:

${policy(regional)}

The list of servers answers their user-data, and user-data may hold secrets: who may list servers may read those. bake keeps none of it.

${purposes.map((purpose) => `## ${titles[purpose]}\n\n${table(rows.filter((row) => row.for.includes(purpose)))}`).join("\n\n")}
`;
