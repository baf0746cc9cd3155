/** Docker: static binaries, units, daemon.json (guide rows G15, G19–G21). */
import { type NodeRegistries, nodeRegistries } from "../../profile/registries.ts";
import type { Profile } from "../../profile/schema.ts";
import { advisory, asksDocker, gating, line, literal, ofCommand, show } from "../check-commands.ts";
import type { Check } from "../check.ts";
import { type Concern, kernelSettingsFile, type Package } from "../concern.ts";
import { installRelease } from "../install.ts";
import { baseSettings } from "./base-settings.ts";
import { otherDockers } from "./other-dockers.ts";
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

/** What bake sets in daemon.json; whatever else is there stays, but for what base-settings.ts names. */
const daemonOf = ({ docker }: Profile, { dockerMirrors, insecure }: NodeRegistries) => ({
  "data-root": docker.dataRoot,
  // Pinned: an empty data-root may otherwise select another image store than the one the image was baked with.
  "storage-driver": "overlay2",
  // Containers of running jobs and the builders outlive a crash or restart of dockerd.
  "live-restore": true,
  "default-address-pools": docker.addressPools.map(({ base, size }) => ({ base, size })),
  "log-driver": "json-file",
  "log-opts": { "max-size": docker.logMaxSize, "max-file": String(docker.logMaxFiles) },
  ...(dockerMirrors.length > 0 && { "registry-mirrors": dockerMirrors }),
  ...(insecure.length > 0 && { "insecure-registries": insecure }),
  ...(docker.mtu !== undefined && {
    mtu: docker.mtu,
    // Of networks that jobs make: `mtu` is that of docker0 alone.
    "default-network-opts": { bridge: { "com.docker.network.driver.mtu": String(docker.mtu) } },
  }),
});

const packages: readonly Package[] = [
  ...otherDockers.apt.map((apt): Package => ({ action: "remove", apt })),
  ...otherDockers.dnf.map((dnf): Package => ({ action: "remove", dnf })),
  // What the static archive does not bring.
  { action: "install", apt: "iptables", dnf: "iptables", order: 60 },
  { action: "install", apt: "kmod", dnf: "kmod", order: 70 },
  { action: "install", apt: "xz-utils", dnf: "xz", order: 110 },
];

/**
 * A container's way out of the host, without asking anybody outside: the kernel forwards, and Docker's rules are where it wrote
 * them. Whoever flushes them (a firewall that starts after Docker) leaves containers that run and reach nothing. `iptables` is the
 * one that dockerd itself calls, whichever of its backends that is.
 */
const networkChecks: readonly Check[] = [
  ofCommand(
    gating,
    {
      id: "docker-forwarding",
      rows: ["G20"],
      title: "the kernel forwards what containers send (net.ipv4.ip_forward)",
      live: true,
      help: `sysctl -p ${kernelSettingsFile}; what set it to 0 does so again: grep -rs forward /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d`,
      repair: "forwarding",
    },
    "cat /proc/sys/net/ipv4/ip_forward",
    { stdout: [line("1")], timeout: 30_000 },
  ),
  ofCommand(
    gating,
    {
      id: "docker-firewall-zone",
      rows: ["G20"],
      title: "firewalld, where it runs, lets Docker's networks out",
      live: true,
      help: `firewall-cmd --zone=docker --change-interface=docker0 (zone trusted where there is no zone docker); a firewalld that starts after Docker knows none of its bridges`,
      repair: "zone",
    },
    // Zones by the bridges of Docker's own naming: what no zone names is in the default one, which forwards nothing.
    `systemctl is-active --quiet firewalld.service || exit 0; for each in /sys/class/net/docker0 /sys/class/net/br-????????????; do if [ -e $each ]; then zone=$(timeout -k 2 20 firewall-cmd --get-zone-of-interface=\${each##*/} 2>&1); timeout -k 2 20 firewall-cmd --zone="$zone" --list-all 2>/dev/null | grep -Eq '^ *target: ACCEPT$' || { echo "\${each##*/}: $zone"; exit 1; }; fi; done`,
  ),
  ofCommand(
    gating,
    {
      id: "docker-nat",
      rows: ["G20"],
      title: "Docker's rules lead containers out of the host",
      live: true,
      help: 'a firewall flushed them: systemctl restart docker while no job runs; or daemon.json says "iptables": false',
      repair: "network",
    },
    `PATH=$PATH:/usr/sbin:/sbin; subnet=$(${asksDocker("network inspect bridge --format '{{(index .IPAM.Config 0).Subnet}}'")}) && iptables -w 20 -t nat -S POSTROUTING | grep -Eq -- "^-A POSTROUTING -s $subnet ! -o [^ ]+ -j MASQUERADE" && iptables -w 20 -S FORWARD | grep -Eq -- '-j DOCKER(-USER|-FORWARD)$'`,
  ),
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
        help: "systemctl status docker; journalctl -u docker; where /usr/bin/docker is gone: see docker-binaries",
        repair: "docker",
      },
      asksDocker("version --format '{{.Server.Version}}'"),
      { stdout: [`/^${literal(version)}([+~-].*)?$/`] },
    ),
    ofCommand(
      gating,
      {
        id: "docker-binaries",
        rows: ["G19"],
        title: "Docker's binaries are those in /usr/bin",
        // A job, or a package, may take them away at any moment. What the image was made of is not kept on the node.
        live: true,
        help: "type -a dockerd shows what shadows them; one that is gone: copy it from another node of this image (scp -p), or bake a new image, since the node does not keep the archive",
      },
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
        help: "install the package that is missing, by dnf or apt-get",
      },
      "PATH=$PATH:/usr/sbin:/sbin; for name in git iptables modprobe xz; do command -v $name >/dev/null || exit 1; done",
    ),
    gating(
      {
        id: "docker-group",
        rows: ["G19"],
        title: "the group docker is there, for its socket",
        help: "groupadd --system docker",
        repair: "group",
      },
      ["group", "docker-group", { groupname: "docker", exists: true }],
    ),
    ofCommand(
      gating,
      {
        id: "distribution-docker-gone",
        rows: ["G19"],
        title: "no Docker of the distribution is installed",
        help: "remove the package: its files are those of the static archive, its units start another daemon",
      },
      // Under whatever name: also who owns the files. Where neither answers, nothing was asked.
      `{ rpm -q rpm || dpkg-query -W dpkg; } >/dev/null 2>&1 || exit 1; found=$({ rpm -qa --qf '%{NAME}\\n' | grep -Ex '${oneOf(otherDockers.dnf)}'; dpkg-query -W -f '\${db:Status-Abbrev}\${Package}\\n' | grep -Ex 'ii ${oneOf(otherDockers.apt)}'; for name in ${binaries.join(" ")}; do rpm -qf --qf '%{NAME}\\n' /usr/bin/$name | grep -v ' '; dpkg -S /usr/bin/$name | cut -d : -f 1; done; } 2>/dev/null); echo $found; test -z "$found"`,
    ),
    ...["containerd.service", "docker.service", "docker.socket"].map((unit) =>
      gating(
        {
          id: `unit-${unit}`,
          rows: ["G20"],
          title: `${unit} is enabled and runs`,
          help: `systemctl enable --now ${unit}`,
          repair: "docker",
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
    ...networkChecks,
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
    const registries = nodeRegistries(profile);
    const daemon = daemonOf(profile, registries);
    const { dataRoot, version } = facts.docker;
    return {
      files: [
        {
          path: "/etc/docker/daemon.json",
          content: `${JSON.stringify(daemon, null, 2)}\n`,
          stage: "runtime",
          order: 10,
        },
        {
          path: "/etc/modules-load.d/bake-docker.conf",
          content: `# ${header}\noverlay\nbr_netfilter\n`,
          order: 30,
        },
      ],
      provision: [
        // Packages that own one of them go first of all.
        { name: "docker-binaries.txt", content: `${binaries.join("\n")}\n`, stage: "base" },
        { name: "daemon-json.json", content: baseSettings(facts.httpProxy !== undefined), stage: "runtime" },
      ],
      units: [
        { name: "containerd.service", values: { dataRoot }, order: 40 },
        { name: "docker.socket", order: 50 },
        {
          // dockerd is asked with the options that it has there.
          name: "docker.service",
          stage: "runtime",
          values: { dataRoot, proxyCredentials: profile.secrets.proxyCredentials !== undefined },
          order: 60,
        },
      ],
      packages,
      // dockerd sets it too, once; whoever reads /etc/sysctl.conf later would set it back.
      kernelSettings: [{ name: "net.ipv4.ip_forward", value: 1 }],
      installs: installRelease(locked, "docker-static", "runtime"),
      checks: checksOf(facts.docker, daemon, profile.network.pypiCache !== undefined),
      explain: [
        { what: "Docker's data-root", value: dataRoot, because: ["docker.dataRoot"], order: 80 },
        ...(Object.keys(registries.mirrors).length === 0
          ? []
          : [
              {
                what: "Docker's mirrors",
                value: `${registries.dockerMirrors.join(", ") || "none"}; it takes those of docker.io without a path alone, the builders take all`,
                because: ["network.registryMirrors", "builders.mirrors"],
                order: 81,
              },
            ]),
      ],
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
