/** Docker: static binaries, units, daemon.json (guide rows G15, G19–G21). */
import type { Profile } from "../../profile/schema.ts";
import { advisory, asksDocker, gating, line, literal, ofCommand, show } from "../check-commands.ts";
import type { Check } from "../check.ts";
import type { Concern, Package } from "../concern.ts";
import { installRelease } from "../install.ts";
import type { DockerFacts } from "./facts.ts";
import { dockerVersion } from "./version-rule.ts";

/** The files taken from the archive, by name: newer archives also hold licence files (guide row G19). */
const binaries = [
  "containerd",
  "containerd-shim-runc-v2",
  "ctr",
  "docker",
  "docker-init",
  "docker-proxy",
  "dockerd",
  "runc",
];

/** What bake sets in daemon.json; whatever else is there stays. */
const daemonOf = ({ docker }: Profile) => ({
  "data-root": docker.dataRoot,
  // Pinned: an empty data-root may otherwise select another image store than the one the image was baked with.
  "storage-driver": "overlay2",
  // Containers of running jobs and the builders outlive a crash or restart of dockerd.
  "live-restore": true,
  "default-address-pools": docker.addressPools.map(({ base, size }) => ({ base, size })),
  "log-driver": "json-file",
  "log-opts": { "max-size": docker.logMaxSize, "max-file": String(docker.logMaxFiles) },
});

/** Docker as the distribution packs it: it owns the same files as the static archive (guide row G19). */
const distributionPackages = {
  apt: [
    "docker-engine",
    "docker.io",
    "docker-cli",
    "docker-ce",
    "docker-ce-cli",
    "docker-buildx",
    "containerd",
    "runc",
  ],
  dnf: [
    "docker-engine",
    "docker-engine-selinux",
    "docker-ce",
    "docker-ce-cli",
    "docker",
    "docker-runc",
    "docker-cli",
    "docker-buildx",
    "containerd",
    "runc",
  ],
};

const packages: readonly Package[] = [
  ...distributionPackages.apt.map((apt): Package => ({ action: "remove", apt })),
  ...distributionPackages.dnf.map((dnf): Package => ({ action: "remove", dnf })),
  // What the static archive does not bring.
  { action: "install", apt: "iptables", dnf: "iptables", order: 60 },
  { action: "install", apt: "kmod", dnf: "kmod", order: 70 },
  { action: "install", apt: "xz-utils", dnf: "xz", order: 110 },
];

const checksOf = (
  { version, dataRoot }: DockerFacts,
  daemon: ReturnType<typeof daemonOf>,
  hasCache: boolean,
): Check[] => {
  const oneOf = (names: readonly string[]): string => `(${names.map(literal).join("|")})`;
  return [
    ofCommand(
      gating,
      {
        id: "docker-version",
        rows: ["G15", "G19"],
        title: `Docker is ${version}`,
        live: true,
        help: "systemctl status docker; journalctl -u docker",
      },
      asksDocker("version --format '{{.Server.Version}}'"),
      { stdout: [`/^${literal(version)}([+~-].*)?$/`] },
    ),
    ofCommand(
      gating,
      { id: "docker-binaries", rows: ["G19"], title: "Docker's binaries are those in /usr/bin" },
      // One at a time: dash looks at the first name alone.
      "for name in containerd dockerd docker docker-proxy runc; do command -v $name; done",
      { stdout: ["containerd", "dockerd", "docker", "docker-proxy", "runc"].map((name) => line(`/usr/bin/${name}`)) },
    ),
    ofCommand(
      gating,
      {
        id: "docker-needs",
        rows: ["G19"],
        title: "what the static archive does not bring is there: git, iptables, modprobe, xz",
      },
      "PATH=$PATH:/usr/sbin:/sbin; for name in git iptables modprobe xz; do command -v $name >/dev/null || exit 1; done",
    ),
    gating({ id: "docker-group", rows: ["G19"], title: "the group docker is there, for its socket" }, [
      "group",
      "docker-group",
      { groupname: "docker", exists: true },
    ]),
    ofCommand(
      gating,
      {
        id: "distribution-docker-gone",
        rows: ["G19"],
        title: "no Docker of the distribution is installed",
        help: "remove the package: its files are those of the static archive, its units start another daemon",
      },
      // Where neither answers, nothing was asked.
      `{ rpm -q rpm || dpkg-query -W dpkg; } >/dev/null 2>&1 || exit 1; found=$({ rpm -qa --qf '%{NAME}\\n' | grep -Ex '${oneOf(distributionPackages.dnf)}'; dpkg-query -W -f '\${db:Status-Abbrev}\${Package}\\n' | grep -Ex 'ii ${oneOf(distributionPackages.apt)}'; } 2>/dev/null); echo $found; test -z "$found"`,
    ),
    ...["containerd.service", "docker.service", "docker.socket"].map((unit) =>
      gating(
        {
          id: `unit-${unit}`,
          rows: ["G20"],
          title: `${unit} is enabled and runs`,
          help: `systemctl enable --now ${unit}`,
        },
        ["service", `unit-${unit}`, { name: unit, enabled: true, running: true }],
      ),
    ),
    ofCommand(
      gating,
      {
        id: "data-root",
        rows: ["G21"],
        title: `Docker keeps its data in ${dataRoot}, with overlay2`,
        help: 'set "data-root" and "storage-driver" in /etc/docker/daemon.json and restart Docker',
      },
      asksDocker("info --format '{{.DockerRootDir}} {{.Driver}}'"),
      { stdout: [line(`${dataRoot} overlay2`)] },
    ),
    ofCommand(
      gating,
      {
        id: "docker-requires-data-disk",
        rows: ["G21"],
        title: "Docker does not start without the data disk",
        help: `a drop-in for docker.service with RequiresMountsFor=${dataRoot}`,
      },
      show("docker.service", ["RequiresMountsFor"]),
      { stdout: [`/[= ]${literal(dataRoot)}( |$)/`] },
    ),
    ofCommand(
      advisory,
      {
        id: "docker-address-pools",
        rows: [...(hasCache ? ["G12"] : []), "G21"],
        title: "Docker's networks stay away from the site's addresses",
        help: 'set "default-address-pools" in /etc/docker/daemon.json',
      },
      asksDocker("info --format '{{range .DefaultAddressPools}}{{.Base}} {{end}}'"),
      { stdout: [line(daemon["default-address-pools"].map(({ base }) => `${base} `).join(""))] },
    ),
    advisory({ id: "docker-log-limit", rows: ["G21"], title: "logs of containers are rotated" }, [
      "file",
      "docker-log-limit",
      {
        path: "/etc/docker/daemon.json",
        exists: true,
        contents: [`/"max-size": *"${literal(daemon["log-opts"]["max-size"])}"/`],
      },
    ]),
  ];
};

export const docker: Concern = {
  name: "docker",
  rules: [dockerVersion],
  requirements: (profile, architecture) => [
    {
      kind: "docker-static",
      name: "docker",
      asked: profile.docker.version,
      architecture,
      path: ["docker", "version"],
    },
  ],
  contribute: ({ profile, facts, locked, header }) => {
    const daemon = daemonOf(profile);
    const { dataRoot, version } = facts.docker;
    return {
      files: [
        { path: "/etc/docker/daemon.json", content: `${JSON.stringify(daemon, null, 2)}\n`, order: 10 },
        {
          path: "/etc/modules-load.d/bake-docker.conf",
          content: `# ${header}\noverlay\nbr_netfilter\n`,
          order: 30,
        },
      ],
      provision: [{ name: "docker-binaries.txt", content: `${binaries.join("\n")}\n` }],
      units: [
        { name: "containerd.service", values: { dataRoot }, order: 40 },
        { name: "docker.socket", order: 50 },
        {
          name: "docker.service",
          values: { dataRoot, proxyCredentials: profile.secrets.proxyCredentials !== undefined },
          order: 60,
        },
      ],
      packages,
      installs: installRelease(locked, "docker-static"),
      checks: checksOf(facts.docker, daemon, profile.network.pypiCache !== undefined),
      explain: [{ what: "Docker's data-root", value: dataRoot, because: ["docker.dataRoot"], order: 80 }],
      page: {
        summary: [{ label: "Docker", text: `${version}, data in \`${dataRoot}\``, order: 20 }],
        chain: [
          { text: "containerd", order: 30 },
          { text: "docker", order: 40 },
        ],
      },
    };
  },
};
