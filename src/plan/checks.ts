/** What a node must look like: each check proves guide rows and is rendered to goss. */
import { shellWord } from "../formats/shell.ts";
import type { Check, GossResource } from "./check.ts";
import { metadataAddress } from "./network.ts";
import type { NodePlan } from "./node-plan.ts";

type PlanWithoutChecks = Omit<NodePlan, "checks">;
type CheckWithoutResource = Omit<Check, "resource" | "level">;

/** A whole line of output, so that `27.5.1` does not also accept `127.5.10`. */
const line = (text: string): string => `/^${literal(text)}$/`;

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

/** Exit status and lines of a command. Milliseconds for `timeout`. */
const command = (
  id: string,
  exec: string,
  { stdout = [], status = 0, timeout = 60_000 }: { stdout?: readonly string[]; status?: number; timeout?: number } = {},
): GossResource => ["command", id, { exec, "exit-status": status, ...(stdout.length > 0 && { stdout }), timeout }];

/** As systemd prints a time span: `25min 30s`. */
const systemdSpan = (seconds: number): string => {
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ] as const;
  return parts.flatMap(([count, unit]) => (count === 0 ? [] : [`${count}${unit}`])).join(" ");
};

/** Asks Docker only while it runs: through its socket a question would start it, and mount the data disk. */
const asksDocker = (subcommand: string): string => `systemctl is-active --quiet docker.service && docker ${subcommand}`;

const show = (unit: string, properties: readonly string[]): string =>
  `systemctl show ${unit} ${properties.map((property) => `-p ${property}`).join(" ")}`;

/** Reads the environment of the running agent: what jobs inherit, whoever set it. */
const agentEnvironment =
  "tr '\\0' '\\n' <\"/proc/$(systemctl show -p MainPID --value buildkite-agent.service)/environ\"";

/** For `Check.byHand`. */
const byHand = (
  id: string,
  { title, help }: { readonly title: string; readonly help: string },
  exec: string,
  expected?: Parameters<typeof command>[2],
): Pick<Check, "byHand"> => ({ byHand: { title, help, resource: command(id, exec, expected) } });

const gating = (check: CheckWithoutResource, resource: GossResource): Check => ({
  ...check,
  level: "gating",
  resource,
});
const advisory = (check: CheckWithoutResource, resource: GossResource): Check => ({
  ...check,
  level: "advisory",
  resource,
});
const ofCommand = (
  make: typeof gating,
  check: CheckWithoutResource,
  exec: string,
  expected?: Parameters<typeof command>[2],
): Check => make(check, command(check.id, exec, expected));

const platformChecks = ({ systems }: PlanWithoutChecks): Check[] => [
  ofCommand(
    advisory,
    { id: "operating-system", rows: ["G1"], title: `the operating system is one of ${systems.join(", ")}` },
    '. /etc/os-release && echo "$ID"',
    { stdout: [`/^(${systems.map(literal).join("|")})$/`] },
  ),
  ofCommand(
    advisory,
    {
      id: "kernel-held",
      rows: ["G1"],
      title: "updates leave the kernel alone",
      help: "apt-mark hold 'linux-image-*', or exclude=kernel* in /etc/dnf/dnf.conf: a driver of the NPUs fits one kernel",
    },
    "{ apt-mark showhold; cat /etc/dnf/dnf.conf /etc/yum.conf; } 2>/dev/null | grep -Eq '^(linux-image|exclude *=.*kernel)'",
  ),
];

const storageChecks = ({ storage }: PlanWithoutChecks): Check[] => {
  const mount = shellWord(storage.mount);
  const [key = "", value = ""] = storage.source.split("=");
  return [
    ofCommand(
      gating,
      {
        id: "data-disk-mounted",
        rows: ["G16", "G17", "G18"],
        title: `${storage.mount} is the data disk (${storage.source}, ${storage.filesystem})`,
        live: true,
        help: "journalctl -u bake-storage says which disks were looked at and why none was taken",
        ...(storage.kind === "blank" &&
          byHand(
            "data-disk-mounted",
            {
              title: `a disk of its own is mounted at ${storage.mount}`,
              help: `mount the data disk at ${storage.mount} by a line in fstab: Docker would fill the system disk`,
            },
            `findmnt -nro FSTYPE --mountpoint ${mount}`,
            { stdout: ["/^(ext4|xfs)$/"], timeout: 30_000 },
          )),
      },
      `findmnt -nro ${key},FSTYPE --mountpoint ${mount}`,
      { stdout: [line(`${value} ${storage.filesystem}`)], timeout: 30_000 },
    ),
    ofCommand(
      gating,
      {
        id: "data-disk-writable",
        rows: ["G18"],
        title: `${storage.mount} is writable`,
        live: true,
        help: "a file system that met an error goes read-only: dmesg has the error, fsck after a backup",
      },
      // Newer kernels leave "rw" in the options of an ext4 that takes no writes any more; its count of errors tells. A shut
      // down xfs answers no stat. Nothing is written: hosts are asked the same.
      `options=,$(findmnt -nro OPTIONS --mountpoint ${mount}), && case $options in *,emergency_ro,* | *,shutdown,*) exit 1 ;; *,rw,*) ;; *) exit 1 ;; esac && stat ${mount} >/dev/null && device=$(basename "$(readlink "/sys/dev/block/$(findmnt -nro MAJ:MIN --mountpoint ${mount})")") && test "$(cat "/sys/fs/ext4/$device/errors_count" 2>/dev/null || echo 0)" = 0`,
      { timeout: 30_000 },
    ),
    ofCommand(
      gating,
      {
        id: "data-disk-room",
        rows: ["G16"],
        title: `${storage.mount} has ${storage.minFreeBytes / 2 ** 30} GiB free`,
        live: true,
        help: `du -xhd1 ${storage.mount}; build caches (docker-cache*) are never pruned by Docker`,
      },
      `test "$(df -B1 --output=avail ${mount} | tail -n 1)" -ge ${storage.minFreeBytes}`,
      { timeout: 30_000 },
    ),
    ofCommand(
      advisory,
      {
        id: "data-disk-fstab",
        rows: ["G18"],
        title: `fstab mounts ${storage.source} at ${storage.mount} and lets the boot go on without it`,
        ...(storage.kind === "blank" &&
          byHand(
            "data-disk-fstab",
            {
              title: `fstab mounts a disk by UUID at ${storage.mount} and lets the boot go on without it`,
              help: "UUID=... of blkid, and nofail: a missing disk would end the boot in emergency mode",
            },
            `findmnt -snro SOURCE,OPTIONS ${mount}`,
            { stdout: ["/^UUID=\\S+ (.*,)?nofail(,|$)/"] },
          )),
      },
      `findmnt -snro SOURCE,OPTIONS ${mount}`,
      { stdout: [`/^${literal(storage.source)} (.*,)?nofail(,|$)/`] },
    ),
  ];
};

const dockerChecks = ({ docker, packages }: PlanWithoutChecks): Check[] => {
  const daemon = docker.daemon as { "log-opts": { "max-size": string } };
  const oneOf = (names: readonly string[]): string => `(${names.map(literal).join("|")})`;
  return [
    ofCommand(
      gating,
      {
        id: "docker-version",
        rows: ["G15", "G19"],
        title: `Docker is ${docker.version}`,
        live: true,
        help: "systemctl status docker; journalctl -u docker",
      },
      asksDocker("version --format '{{.Server.Version}}'"),
      { stdout: [`/^${literal(docker.version)}([+~-].*)?$/`] },
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
        rows: ["G13", "G19"],
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
      `found=$({ rpm -qa --qf '%{NAME}\\n' | grep -Ex '${oneOf(packages.remove.dnf)}'; dpkg-query -W -f '\${db:Status-Abbrev}\${Package}\\n' | grep -Ex 'ii ${oneOf(packages.remove.apt)}'; } 2>/dev/null); echo $found; test -z "$found"`,
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
        title: `Docker keeps its data in ${docker.dataRoot}, with overlay2`,
        help: 'set "data-root" and "storage-driver" in /etc/docker/daemon.json and restart Docker',
      },
      asksDocker("info --format '{{.DockerRootDir}} {{.Driver}}'"),
      { stdout: [line(`${docker.dataRoot} overlay2`)] },
    ),
    ofCommand(
      gating,
      {
        id: "docker-requires-data-disk",
        rows: ["G21"],
        title: "Docker does not start without the data disk",
        help: `a drop-in for docker.service with RequiresMountsFor=${docker.dataRoot}`,
      },
      show("docker.service", ["RequiresMountsFor"]),
      { stdout: [`/[= ]${literal(docker.dataRoot)}( |$)/`] },
    ),
    ofCommand(
      advisory,
      {
        id: "docker-address-pools",
        rows: ["G12", "G21"],
        title: "Docker's networks stay away from the site's addresses",
        help: 'set "default-address-pools" in /etc/docker/daemon.json',
      },
      asksDocker("info --format '{{range .DefaultAddressPools}}{{.Base}} {{end}}'"),
      {
        stdout: [
          line((docker.daemon["default-address-pools"] as { base: string }[]).map(({ base }) => `${base} `).join("")),
        ],
      },
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

/** Where the Docker client looks for plugins (docker/cli: cli-plugins/manager). */
const pluginFolders = [
  "/root/.docker/cli-plugins",
  "/usr/local/lib/docker/cli-plugins",
  "/usr/local/libexec/docker/cli-plugins",
  "/usr/lib/docker/cli-plugins",
  "/usr/libexec/docker/cli-plugins",
];

const builderChecks = ({ buildx, builders, images }: PlanWithoutChecks): Check[] => [
  gating({ id: "buildx-plugin", rows: ["G23"], title: "the buildx plugin is root's alone" }, [
    "file",
    "buildx-plugin",
    { path: buildx.plugin, exists: true, filetype: "file", mode: "0700", owner: "root", group: "root" },
  ]),
  ofCommand(
    gating,
    {
      id: "buildx-version",
      rows: ["G22", "G23"],
      title: `buildx is ${buildx.version}`,
      help: `put the release's binary at ${buildx.plugin}, mode 0700`,
    },
    "HOME=/root docker buildx version",
    { stdout: [`/(^|[ v])${literal(buildx.version)}([+ -]|$)/`] },
  ),
  ofCommand(
    advisory,
    {
      id: "buildx-plugin-alone",
      rows: ["G23"],
      title: "no other buildx plugin shadows it or waits behind it",
      help: "remove all but one: the user's folder wins over the system's",
    },
    `ls ${pluginFolders.map((folder) => `${folder}/docker-buildx`).join(" ")} 2>/dev/null | wc -l`,
    { stdout: [line("1")] },
  ),
  ...images.map(({ reference, locked }, index) => {
    const id = `image-${index + 1}`;
    return ofCommand(
      gating,
      {
        id,
        rows: [reference === builders.image ? "G24" : "G27"],
        title: `image ${reference} is in Docker's store`,
        help: "journalctl -u bake-images",
      },
      asksDocker(`image inspect --format '{{.Id}}' ${shellWord(reference)}`),
      { stdout: locked === undefined ? [] : [line(locked.imageId)] },
    );
  }),
  ...builders.names.map((name) => {
    // Not `.State.Running`, which a container that fails again and again has too.
    const inspected = (more = ""): string =>
      asksDocker(
        `container inspect --format '{{.State.Status}} {{.Config.Image}}${more}' buildx_buildkit_${name}0 && test -s /root/.docker/buildx/instances/${name}`,
      );
    const imageId = images.find(({ reference }) => reference === builders.image)?.locked?.imageId;
    return ofCommand(
      gating,
      {
        id: `builder-${name}`,
        rows: ["G24"],
        title: `builder ${name} runs ${builders.image}`,
        live: true,
        help: `docker buildx inspect --bootstrap ${name}; journalctl -u bake-builders`,
        ...byHand(
          `builder-${name}`,
          {
            title: `builder ${name} runs ${builders.image}`,
            help: `docker buildx create --name ${name} --driver docker-container --driver-opt image=${builders.image} --bootstrap`,
          },
          inspected(),
          { stdout: [`/^running ${literal(builders.image)}(@sha256:[0-9a-f]+)?$/`] },
        ),
      },
      inspected(imageId === undefined ? "" : " {{.Image}}"),
      { stdout: [line(["running", builders.localImage, ...(imageId === undefined ? [] : [imageId])].join(" "))] },
    );
  }),
  ofCommand(
    advisory,
    {
      id: "builder-default",
      rows: ["G24"],
      title: "no CI builder is the current one of every docker build",
      help: "docker buildx use default",
    },
    `export HOME=/root; ${asksDocker("buildx inspect | sed -n 's/^Name: *//p' | head -n 1")}`,
    { stdout: [line("default")] },
  ),
];

/** A line of buildkite-agent.cfg, with or without quotes. */
const setting = (key: string, value: string): string => `/^${literal(key)} *[=:] *"?${literal(value)}"?$/`;

const agentChecks = ({ agents, network }: PlanWithoutChecks): Check[] => [
  ofCommand(
    gating,
    { id: "agent-version", rows: ["G2"], title: `Buildkite agent is ${agents.version}` },
    `${agents.binary} --version`,
    { stdout: [`/version ${literal(agents.version)}([+, ]|$)/`] },
  ),
  gating({ id: "agent-config", rows: ["G3", "G4"], title: "the agent's configuration is for root alone" }, [
    "file",
    "agent-config",
    { path: agents.configFile, exists: true, filetype: "file", mode: "0600", owner: "root", group: "root" },
  ]),
  ofCommand(
    gating,
    {
      id: "agent-token",
      rows: ["G3"],
      title: "the agent's token is there, for root alone",
      live: true,
      help: "golden user-data brings it; bake-token < FILE puts another in its place",
      ...byHand(
        "agent-token",
        { title: "the agent's token is in its configuration", help: `token="..." in ${agents.configFile}` },
        `grep -Eq '^ *token *[=:] *"?[^" ]' ${agents.configFile}`,
      ),
    },
    // Not the placeholder of a user-data that nobody put the secrets into.
    agents.token.via === "file"
      ? `stat -c '%a %U' ${agents.token.path} && grep -q '^[^<]' ${agents.token.path}`
      : `stat -c '%a %U' ${agents.token.path} && grep -Eq '^BUILDKITE_AGENT_TOKEN="?[^"<]' ${agents.token.path}`,
    { stdout: [line("600 root")] },
  ),
  gating({ id: "agent-settings", rows: ["G4"], title: "buildkite-agent.cfg says what the profile says" }, [
    "file",
    "agent-settings",
    {
      path: agents.configFile,
      exists: true,
      contents: [
        setting("spawn", String(agents.spawn)),
        `/^tags *[=:] *"?([^"]*,)?queue=${literal(agents.queue)}[,"]?/`,
        setting("git-clone-flags", agents.gitCloneFlags),
        setting("git-fetch-flags", agents.gitFetchFlags),
        ...Object.entries(agents.settings).map(([key, value]) => setting(key, String(value))),
      ],
    },
  ]),
  gating({ id: "agent-name", rows: ["G4", "G5"], title: `agents are named ${agents.nameTemplate}` }, [
    "file",
    "agent-name",
    { path: agents.configFile, exists: true, contents: [setting("name", agents.nameTemplate)] },
  ]),
  ofCommand(
    advisory,
    {
      id: "agent-unit",
      rows: ["G7"],
      title: "the service stops the agents only after their jobs, and restarts them after a crash",
      help: "KillMode=mixed and a TimeoutStopSec above the longest job",
    },
    show("buildkite-agent.service", ["FragmentPath", "KillMode", "Restart", "TimeoutStopUSec"]),
    {
      stdout: [
        line("FragmentPath=/etc/systemd/system/buildkite-agent.service"),
        line("KillMode=mixed"),
        line("Restart=on-failure"),
        line(`TimeoutStopUSec=${systemdSpan(agents.stopTimeout)}`),
      ],
    },
  ),
  ofCommand(
    advisory,
    {
      id: "agent-order",
      rows: ["G5", "G7"],
      title: "the agents start after network, hostname, Docker and the gate",
      help: "the hostname is sent once, at registration: it must be final by then",
      ...byHand(
        "agent-order",
        {
          title: "the agents start after network and Docker",
          help: "After=network-online.target docker.service: a job would come before Docker is up",
        },
        "systemctl show -p After --value buildkite-agent.service | tr ' ' '\\n'",
        { stdout: ["network-online.target", "docker.service"].map(line) },
      ),
    },
    `systemctl show -p After --value buildkite-agent.service | tr ' ' '\\n' && systemctl show -p LoadState cloud-config.service`,
    {
      stdout: [
        ...["network-online.target", "docker.service", "cloud-config.service", "bake-ready.service"].map(line),
        line("LoadState=loaded"),
      ],
    },
  ),
  ofCommand(
    advisory,
    {
      id: "agent-environment",
      rows: ["G7", "G8", ...(network.pypiCache === undefined ? [] : ["G12"])],
      title: "jobs find HOME and what the profile sets in their environment",
    },
    agentEnvironment,
    {
      stdout: [
        line("HOME=/root"),
        ...(network.pypiCache === undefined
          ? []
          : [line(`PYPI_CACHE_HOST=${network.pypiCache.host}`), line(`PYPI_CACHE_PORT=${network.pypiCache.port}`)]),
        ...Object.entries(agents.environment).map(([name, value]) => line(`${name}=${value}`)),
      ],
    },
  ),
  advisory(
    {
      id: "agent-running",
      rows: ["G7", "G9"],
      title: "the agent service is enabled and runs",
      help: "bake-status says what it waits for",
    },
    ["service", "agent-running", { name: "buildkite-agent.service", enabled: true, running: true }],
  ),
  ofCommand(
    advisory,
    {
      id: "agent-health",
      rows: ["G6", "G10"],
      title: `the running agents answer at ${agents.healthAddress}`,
      help: "set health-check-addr; never start a second set of agents for a test",
    },
    `curl -fsS --max-time 10 http://${agents.healthAddress}/`,
    { stdout: ["/^OK/"] },
  ),
  ofCommand(
    advisory,
    { id: "agent-journal", rows: ["G10"], title: "the agents' log is in the journal" },
    "journalctl -u buildkite-agent.service -b -n 1 -o cat | grep -q .",
  ),
];

const isAddress = (host: string): boolean => /^[\d.]+$/.test(host);

const networkChecks = ({ network }: PlanWithoutChecks): Check[] => {
  const { pypiCache, gitProxy, metadata } = network;
  const header = shellWord(`http.${network.gitTokenUrl}.extraheader`);
  return [
    ...(gitProxy === undefined
      ? []
      : [
          ofCommand(
            gating,
            {
              id: "git-proxy",
              rows: ["G13"],
              title: "the git proxy is set, in one file",
              help: "git config --show-origin --get-all names the files; of two equal rules the first one read wins",
            },
            `HOME=/root git config --show-origin --get-all ${shellWord(`url.${gitProxy.via}.insteadOf`)}`,
            { stdout: [`/^file:\\S+\\s+${literal(gitProxy.for)}$/`] },
          ),
          ofCommand(
            gating,
            { id: "git-proxy-alone", rows: ["G13"], title: "no second rule rewrites the same URLs" },
            `HOME=/root git config --get-regexp '^url\\..*\\.insteadof$' | awk -v url=${shellWord(gitProxy.for)} '$2 == url' | wc -l`,
            { stdout: [line("1")] },
          ),
          ofCommand(
            gating,
            { id: "git-proxy-rewrites", rows: ["G13"], title: `git reaches ${gitProxy.for} through the proxy` },
            `cd / && HOME=/root git ls-remote --get-url ${shellWord(`${gitProxy.for}owner/name.git`)}`,
            { stdout: [line(`${gitProxy.via}owner/name.git`)] },
          ),
        ]),
    network.gitToken
      ? ofCommand(
          gating,
          {
            id: "git-token",
            rows: ["G14"],
            title: `one whole header with a token goes to ${network.gitTokenUrl}`,
            help: "the header must be one line: base64 -w0",
          },
          // Never the header itself: goss prints what it found.
          `HOME=/root git config --get-all ${header} | awk 'NF == 0 { reset++ } /^AUTHORIZATION: basic [A-Za-z0-9+\\/]+=*$/ && !/ ${placeholderHeader}/ { whole++ } END { print reset + 0, whole + 0, NR }' && stat -c %a /root/.gitconfig.d/private`,
          { stdout: [line("1 1 2"), line("600")] },
        )
      : ofCommand(
          advisory,
          {
            id: "bake-git-include",
            rows: ["G14"],
            title:
              "a token for private repositories would be read from a file of its own (secrets.gitToken is not set)",
          },
          "HOME=/root git config --global --get-all include.path",
          { stdout: [line("/root/.gitconfig.d/private")] },
        ),
    ...(pypiCache === undefined
      ? []
      : [
          ...(isAddress(pypiCache.host)
            ? [
                ofCommand(
                  gating,
                  {
                    id: "pypi-cache-route",
                    rows: ["G12"],
                    title: "no Docker network hides the PyPI cache",
                    help: "docker network ls; remove the network, or move default-address-pools",
                  },
                  `ip -o route get ${pypiCache.host}`,
                  { stdout: ["!/dev (docker|br-)/"] },
                ),
              ]
            : []),
          {
            id: "pypi-cache",
            rows: ["G12"],
            title: `the PyPI cache answers at ${pypiCache.host}:${pypiCache.port}`,
            level: "site" as const,
            help: "ask for access for the outward address of this host",
            resource: [
              "addr",
              "pypi-cache",
              { address: `tcp://${pypiCache.host}:${pypiCache.port}`, reachable: true, timeout: 2000 },
            ] as const,
          },
        ]),
    ...network.destinations
      .filter(({ when, host, through }) => when === "node" && through !== "proxy" && host !== pypiCache?.host)
      .map(
        ({ host, port, why }): Check => ({
          id: `reaches-${host}-${port}`,
          rows: ["G11"],
          title: `${host}:${port} lets this node through: ${why}`,
          level: "site",
          help: "allowlist.md has every host with its reason",
          resource: [
            "addr",
            `reaches-${host}-${port}`,
            { address: `tcp://${host}:${port}`, reachable: true, timeout: 5000 },
          ],
        }),
      ),
    ...(metadata.closed
      ? [
          ofCommand(
            advisory,
            {
              id: "bake-metadata-closed",
              rows: ["G3"],
              title: "the metadata service, which hands out user-data, is closed",
              help: "systemctl restart bake-metadata",
            },
            `ip rule show | grep -Eq 'to ${literal(metadataAddress)} .*prohibit' && ! curl -s --max-time 5 -o /dev/null http://${metadataAddress}/`,
          ),
        ]
      : []),
  ];
};

/** How a header starts that holds a placeholder: `x-access-token:<se`. */
const placeholderHeader = Buffer.from("x-access-token:<se").toString("base64");

const kernelChecks = ({ panicReboot }: PlanWithoutChecks): Check[] => [
  ofCommand(
    advisory,
    {
      id: "bake-panic-reboot",
      rows: ["G1"],
      title: "a kernel that panicked starts again",
      help: "sysctl --system; /etc/sysctl.d has a later file that says otherwise",
    },
    "cat /proc/sys/kernel/panic",
    { stdout: [line(String(panicReboot))] },
  ),
];

const identityChecks = ({ ssh }: PlanWithoutChecks): Check[] => [
  ofCommand(
    advisory,
    {
      id: "bake-first-boot",
      rows: ["G3", "G8"],
      title: "what user-data brought is on the disk: a power cut takes none of it",
      help: "systemctl status bake-first-boot-done",
    },
    "cat /var/lib/cloud/data/instance-id && diff /var/lib/cloud/data/instance-id /var/lib/bake/first-boot && echo same",
    { stdout: [line("same")] },
  ),
  ...(ssh.nodeKey === "none"
    ? []
    : [
        ofCommand(
          gating,
          {
            id: "node-key",
            rows: ["G8"],
            title: "the node's key pair is whole and for root alone",
            help: "journalctl -u bake-identity",
          },
          // A key with a passphrase would wait for somebody to type it.
          `set -e; for key in /root/.ssh/id_ed25519 /root/.ssh/id_rsa /root/.ssh/id_ecdsa; do if [ -e "$key" ]; then test "$(ssh-keygen -y -P '' -f "$key" | cut -d ' ' -f 1,2)" = "$(cut -d ' ' -f 1,2 "$key.pub")"; stat -c '%a %U' "$key"; exit 0; fi; done; exit 1`,
          { stdout: [line("600 root")] },
        ),
      ]),
];

/** The shared devices and driver files that the CI script mounts into every job (guide row G5; run-npu-test.sh). */
export const npuDevices = ["/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"];
const npuFiles: readonly [string, string][] = [
  ["/usr/local/bin/npu-smi", "file"],
  ["/usr/local/Ascend/driver/version.info", "file"],
  ["/etc/ascend_install.info", "file"],
  ["/usr/local/dcmi", "directory"],
  ["/usr/local/Ascend/driver/lib64", "directory"],
];

const npuChecks = ({ agents }: PlanWithoutChecks): Check[] => [
  ...[...agents.each.flatMap(({ devices }) => devices), ...npuDevices].map((device): Check => {
    const id = `npu-${device.slice("/dev/".length)}`;
    return {
      id,
      rows: ["G5"],
      title: `${device} is a device`,
      level: "npu",
      live: true,
      help: "npu-smi info; dmesg: is the driver loaded for this kernel?",
      resource: command(id, `test -c ${device}`, { timeout: 30_000 }),
    };
  }),
  ...npuFiles.map(([path, filetype]): Check => {
    const id = `npu-${path.split("/").at(-1)}`;
    return {
      id,
      rows: ["G5"],
      title: `${path} is a ${filetype}`,
      level: "npu",
      help:
        filetype === "file"
          ? `if it is a folder, Docker made it for a missing mount source: rmdir it and install the driver again`
          : "install the NPU driver",
      resource: ["file", id, { path, exists: true, filetype }],
    };
  }),
];

const gateChecks = (): Check[] => [
  advisory({ id: "bake-health-timer", rows: ["G10"], title: "the health timer looks at the node again and again" }, [
    "service",
    "bake-health-timer",
    { name: "bake-health.timer", enabled: true, running: true },
  ]),
];

/** In the order of what depends on what, so that the first failure is the one to look at. */
export const planChecks = (plan: PlanWithoutChecks): Check[] => [
  ...platformChecks(plan),
  ...kernelChecks(plan),
  ...storageChecks(plan),
  ...dockerChecks(plan),
  ...builderChecks(plan),
  ...identityChecks(plan),
  ...networkChecks(plan),
  ...npuChecks(plan),
  ...agentChecks(plan),
  ...gateChecks(),
];
