/** allowlist.md: what whoever runs the site's network must let through (guide row G11, S24). Pure. */
import { markdownCell } from "../formats/markdown.ts";
import type { NodePlan } from "../plan/node-plan.ts";

const sections = [
  ["node", "A node, while it serves"],
  ["job", "Jobs that build and test images"],
  ["bake", "The machine that bakes, and the build VM in the cloud"],
] as const;

const sentences = (destinations: NodePlan["destinations"]): string => {
  const udp = destinations.some(({ protocol }) => protocol === "udp");
  return udp ? "All of it is outbound; by TCP where the port says nothing else." : "All of it is outbound TCP.";
};

/** Every destination of the plan, by when it is needed. */
export const allowlist = ({ profile, destinations }: NodePlan): string => {
  const parts = sections.map(([when, title]) => {
    const rows = destinations
      .filter((destination) => destination.when === when)
      .map(
        ({ host, port, protocol, why, through }) =>
          `| \`${markdownCell(host)}\` | ${port}${protocol === "udp" ? "/udp" : ""} | ${markdownCell(why)}${through === "proxy" ? "; by the HTTP proxy, which must let it through" : ""} |\n`,
      );
    return `## ${title}\n\n| host | port | for |\n|---|--:|---|\n${rows.join("")}`;
  });
  return `# What nodes of profile ${profile} talk to\n\n${sentences(destinations)} The PyPI cache and the git proxy keep allowlists of their own: ask for the outward address of\neach host. \`bake check --host\` tries what stands in the first table. Operators reach a node by ssh (22, inbound).\n\n${parts.join("\n")}`;
};
