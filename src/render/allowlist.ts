/** allowlist.md: what whoever runs the site's network must let through (guide row G11, S24). */
import type { NodePlan } from "../plan/node-plan.ts";

/** A cell of a Markdown table. */
export const cell = (text: string): string => text.replace(/[\r\n]+/g, " ").replaceAll("|", "\\|");

const sections = [
  ["node", "A node, while it serves"],
  ["job", "Jobs that build and test images"],
  ["bake", "The machine that bakes, and the build VM in the cloud"],
] as const;

export const allowlist = ({ profile, network }: NodePlan): string => {
  const parts = sections.map(([when, title]) => {
    const rows = network.destinations
      .filter((destination) => destination.when === when)
      .map(
        ({ host, port, why, through }) =>
          `| \`${cell(host)}\` | ${port} | ${cell(why)}${through === "proxy" ? "; by the HTTP proxy, which must let it through" : ""} |\n`,
      );
    return `## ${title}\n\n| host | port | for |\n|---|--:|---|\n${rows.join("")}`;
  });
  return `# What nodes of profile ${profile} talk to\n\nAll of it is outbound TCP. The PyPI cache and the git proxy keep allowlists of their own: ask for the outward address of\neach host. \`bake check --host\` tries what stands in the first table, except what the HTTP proxy connects to. Operators reach a node by ssh (22, inbound).\n\n${parts.join("\n")}`;
};
