/** What a node must look like: each check proves a guide row and is rendered to goss. */
import type { Check, GossResource } from "./check.ts";
import type { NodePlan } from "./node-plan.ts";

/** Exit status and text of a command. */
const command = (id: string, exec: string, stdout: readonly unknown[] = [], timeout = 30_000): GossResource => [
  "command",
  id,
  { exec, "exit-status": 0, ...(stdout.length > 0 && { stdout }), timeout },
];

/** A whole line of output, so that `27.5.1` does not also accept `127.5.10`. */
const line = (text: string): string => `/^${text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")}$/`;

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** The shared devices and driver files that the CI script mounts into every job (guide row G5; run-npu-test.sh). */
const npuDevices = ["/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"];
const npuFiles: readonly [string, string][] = [
  ["/usr/local/bin/npu-smi", "file"],
  ["/usr/local/Ascend/driver/version.info", "file"],
  ["/etc/ascend_install.info", "file"],
  ["/usr/local/dcmi", "directory"],
  ["/usr/local/Ascend/driver/lib64", "directory"],
];

export const planChecks = (plan: Omit<NodePlan, "checks">): Check[] => {
  const { storage, docker, buildx, builders, agents, network, images } = plan;
  const gating = (id: string, rows: string[], title: string, resource: GossResource): Check => ({
    id,
    rows,
    title,
    level: "gating",
    resource,
  });
  return [
    gating("data-disk-mounted", ["G16", "G17", "G18"], `${storage.mount} is the data disk`, [
      "command",
      "data-disk-mounted",
      {
        exec: `findmnt -nro UUID,FSTYPE --mountpoint ${quote(storage.mount)}`,
        "exit-status": 0,
        stdout: [line(`${storage.uuid} ${storage.filesystem}`)],
        timeout: 10_000,
      },
    ]),
    gating("docker-units-enabled", ["G20"], "containerd and Docker start at boot", [
      "service",
      "docker.service",
      { enabled: true, running: true },
    ]),
    gating("containerd-unit-enabled", ["G20"], "containerd runs as its own unit", [
      "service",
      "containerd.service",
      { enabled: true, running: true },
    ]),
    gating(
      "docker-version",
      ["G15", "G19"],
      `Docker is ${docker.version}`,
      command("docker-version", "docker version --format '{{.Server.Version}}'", [
        `/^${docker.version.replaceAll(".", "\\.")}([+~-].*)?$/`,
      ]),
    ),
    gating(
      "data-root",
      ["G21"],
      `Docker keeps its data in ${docker.dataRoot}, with overlay2`,
      command("data-root", "docker info --format '{{.DockerRootDir}} {{.Driver}}'", [
        line(`${docker.dataRoot} overlay2`),
      ]),
    ),
    gating("buildx-plugin", ["G23"], "one buildx plugin, for root alone", [
      "file",
      buildx.plugin,
      { exists: true, filetype: "file", mode: "0700", owner: "root", group: "root" },
    ]),
    gating(
      "buildx-version",
      ["G22", "G23"],
      `buildx is ${buildx.version}`,
      command("buildx-version", "HOME=/root docker buildx version", [
        `/(^|[ v])${buildx.version.replaceAll(".", "\\.")}([+ -]|$)/`,
      ]),
    ),
    ...images.map(({ reference, locked }, index) =>
      gating(
        `image-${index + 1}`,
        [reference === builders.image ? "G24" : "G27"],
        `image ${reference} is in Docker's store`,
        command(
          `image-${index + 1}`,
          `docker image inspect --format '{{.Id}}' ${quote(reference)}`,
          locked === undefined ? [] : [line(locked.imageId)],
        ),
      ),
    ),
    ...agents.each.map(({ builder }) =>
      gating(
        `builder-${builder}`,
        ["G24"],
        `builder ${builder} runs ${builders.image}`,
        command(
          `builder-${builder}`,
          `docker container inspect --format '{{.State.Running}} {{.Config.Image}}' buildx_buildkit_${builder}0`,
          [line(`true ${builders.image}`)],
        ),
      ),
    ),
    gating(
      "agent-version",
      ["G2"],
      `Buildkite agent is ${agents.version}`,
      command("agent-version", `${agents.binary} --version`, [
        `/version ${agents.version.replaceAll(".", "\\.")}([+, ]|$)/`,
      ]),
    ),
    gating("agent-config", ["G3", "G4"], "the agent's configuration is for root alone", [
      "file",
      agents.configFile,
      { exists: true, filetype: "file", mode: "0600", owner: "root", group: "root" },
    ]),
    gating(
      "agent-token",
      ["G3"],
      "the agent's token is there, for root alone",
      command("agent-token", `stat -c '%a %U' ${agents.token.path} && test -s ${agents.token.path}`, [
        line("600 root"),
      ]),
    ),
    ...(network.gitProxy === undefined
      ? []
      : [
          gating(
            "git-proxy",
            ["G13"],
            "the git proxy is set in one file",
            command(
              "git-proxy",
              `HOME=/root git config --get-all ${quote(`url.${network.gitProxy.via}.insteadOf`)} | sort | uniq -c | tr -s ' '`,
              [line(` 1 ${network.gitProxy.for}`)],
            ),
          ),
        ]),
    ...(network.pypiCache === undefined
      ? []
      : [
          {
            id: "pypi-cache",
            rows: ["G12"],
            title: `the PyPI cache answers at ${network.pypiCache.host}:${network.pypiCache.port}`,
            level: "site" as const,
            resource: [
              "addr",
              `tcp://${network.pypiCache.host}:${network.pypiCache.port}`,
              { reachable: true, timeout: 2000 },
            ] as const,
          },
        ]),
    ...[...agents.each.flatMap(({ devices }) => devices), ...npuDevices].map(
      (device): Check => ({
        id: `npu-${device.slice("/dev/".length)}`,
        rows: ["G5"],
        title: `${device} is a device`,
        level: "npu",
        resource: [
          "command",
          `npu-${device.slice("/dev/".length)}`,
          { exec: `test -c ${device}`, "exit-status": 0, timeout: 5000 },
        ],
      }),
    ),
    ...npuFiles.map(
      ([path, filetype]): Check => ({
        id: `npu-${path.split("/").at(-1)}`,
        rows: ["G5"],
        title: `${path} is a ${filetype}`,
        level: "npu",
        resource: ["file", path, { exists: true, filetype }],
      }),
    ),
    {
      id: "agent-running",
      rows: ["G7", "G9"],
      title: "the agent service is enabled and runs",
      level: "advisory",
      resource: ["service", "buildkite-agent.service", { enabled: true, running: true }],
    },
  ];
};
