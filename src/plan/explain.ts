/** What follows from a profile without being written in it: the part of the plan that people ask about. Pure. */
import type { NodePlan } from "./node-plan.ts";

export interface Consequence {
  readonly what: string;
  readonly value: string;
  /** Paths of the profile that it follows from. */
  readonly because: readonly string[];
}

export const consequencesOf = (plan: NodePlan): Consequence[] => {
  const { agents, builders, buildx, docker, network, packages, storage } = plan;
  const [first, last] = [agents.each[0], agents.each.at(-1)];
  const name = (index: number): string => `<hostname>-${index}-${agents.cards}cards`;
  return [
    {
      what: "agents",
      value: first === last ? name(1) : `${name(1)} … ${name(agents.spawn)}`,
      because: ["agents.spawn", "agents.cards"],
    },
    ...agents.each.map(({ index, builder, devices, dockerCache, modelCache }) => ({
      what: `agent ${index} owns`,
      value: [devices.map((device) => device.replace("/dev/", "")).join(" "), builder, dockerCache, modelCache].join(
        ", ",
      ),
      because: ["agents.spawn", "agents.cards", "storage.mount"],
    })),
    {
      what: "agents' token",
      value: `${agents.token.path} (${agents.token.via === "file" ? "read by the agent: token=file://…" : "environment of the service: this agent cannot read files"})`,
      because: ["agents.version", "secrets.agentToken"],
    },
    {
      what: "builders",
      value: `${builders.names.join(" ")}, each from ${builders.image}`,
      because: ["agents.spawn", "builders.image"],
    },
    { what: "buildx plugin", value: `${buildx.plugin}, ${buildx.version}`, because: ["buildx.version"] },
    {
      what: "data disk",
      value:
        storage.kind === "adopt"
          ? `${storage.source}, never formatted`
          : `the ${storage.pick === "only" ? "one" : storage.pick} blank ${storage.select === "nvme" ? "NVMe disk" : "disk"} becomes ${storage.source}`,
      because: ["storage.disk", "storage.uuid"],
    },
    {
      what: "fstab",
      value: storage.fstab.join(" "),
      because: ["storage.disk", "storage.mount", "storage.filesystem", "storage.uuid"],
    },
    { what: "Docker's data-root", value: docker.dataRoot, because: ["docker.dataRoot"] },
    ...(network.httpProxy === undefined
      ? []
      : [
          {
            what: "NO_PROXY",
            value: network.httpProxy.except.join(","),
            because: ["network.httpProxy", "network.pypiCache"],
          },
        ]),
    {
      what: "packages installed",
      value: packages.install.dnf.join(" "),
      because: ["storage.filesystem"],
    },
    { what: "packages removed", value: packages.remove.dnf.join(" "), because: [] },
  ];
};
