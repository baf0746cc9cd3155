/** What holds of the agents of a node (guide rows G2–G10). Pure. */
import type { Profile } from "../../profile/schema.ts";
import { advisory, byHand, gating, hasInodes, line, literal, ofCommand, show, systemdSpan } from "../check-commands.ts";
import type { Check } from "../check.ts";
import { notPlaceholder } from "../secret-placeholder.ts";
import type { AgentFacts } from "./facts.ts";
import { places, tokenFile } from "./service.ts";
import { gib } from "../../formats/bytes.ts";

/** A line of buildkite-agent.cfg, with or without quotes. */
const setting = (key: string, value: string): string => `/^${literal(key)} *[=:] *"?${literal(value)}"?$/`;

/** Reads the environment of the running agent: what jobs inherit, whoever set it. */
const agentEnvironment =
  "tr '\\0' '\\n' <\"/proc/$(systemctl show -p MainPID --value buildkite-agent.service)/environ\"";

/** In the order of what depends on what: the binary and its configuration first, the running agents last. */
export const agentChecks = ({ agents, network, secrets, storage }: Profile, facts: AgentFacts): Check[] => [
  // Checkouts lie on the system disk: they cannot be moved (BK114).
  ofCommand(
    gating,
    {
      id: "checkouts-room",
      rows: ["G4"],
      title: `the disk of the checkouts has ${storage.systemMinFree} GiB free`,
      live: true,
      help: `du -xhd1 ${places.builds} /var; a checkout can be removed while its agent has no job`,
    },
    `test "$(df -B1 --output=avail ${places.prefix} | tail -n 1)" -ge ${storage.systemMinFree * gib}`,
    { timeout: 30_000 },
  ),
  ofCommand(
    gating,
    {
      id: "checkouts-inodes",
      rows: ["G4"],
      title: "the disk of the checkouts has inodes left",
      live: true,
      help: `du -x --inodes -d1 ${places.builds} /var; df -i`,
    },
    hasInodes(places.prefix),
    { timeout: 30_000 },
  ),
  ofCommand(
    gating,
    {
      id: "agent-version",
      rows: ["G2"],
      title: `Buildkite agent is ${agents.version}`,
      help: "bake a new image: the node does not keep the archive",
    },
    // Also on a host that was set up by hand; on a node it leads to the binary that the service starts.
    `${places.link} --version`,
    { stdout: [`/version ${literal(agents.version)}([+, ]|$)/`] },
  ),
  ofCommand(
    advisory,
    {
      id: "bake-labels",
      rows: ["G2"],
      title: "SELinux, where it is on, finds the labels of what systemd starts as its policy has them",
      help: "restorecon -Rv /opt/bake",
    },
    `! command -v restorecon >/dev/null || [ -z "$(restorecon -nRv /opt/bake)" ]`,
  ),
  gating(
    {
      id: "agent-config",
      rows: ["G3", "G4"],
      title: "the agent's configuration is for root alone",
      help: `chown root:root ${places.config}; chmod 600 ${places.config}`,
    },
    [
      "file",
      "agent-config",
      { path: places.config, exists: true, filetype: "file", mode: "0600", owner: "root", group: "root" },
    ],
  ),
  ofCommand(
    gating,
    {
      id: "agent-token",
      rows: ["G3"],
      title: "the agent's token is there, for root alone",
      live: true,
      help:
        "csms" in secrets.agentToken
          ? "journalctl -u bake-csms says why CSMS does not give it; bake-token < FILE puts another in its place"
          : "golden user-data brings it; bake-token < FILE puts another in its place",
      ...byHand(
        "agent-token",
        { title: "the agent's token is in its configuration", help: `token="..." in ${places.config}` },
        `grep -Eq '^ *token *[=:] *"?[^" ]' ${places.config}`,
      ),
    },
    // Not the placeholder of a user-data that nobody put the secrets into.
    `stat -c '%a %U' ${tokenFile} && grep -q '^[${notPlaceholder}]' ${tokenFile}`,
    { stdout: [line("600 root")] },
  ),
  gating(
    {
      id: "agent-settings",
      rows: ["G4"],
      title: "buildkite-agent.cfg says what the profile says",
      help: `put the line back that is named here, in ${places.config}`,
    },
    [
      "file",
      "agent-settings",
      {
        path: places.config,
        exists: true,
        contents: [
          setting("spawn", String(agents.spawn)),
          `/^tags *[=:] *"?([^"]*,)?queue=${literal(agents.queue)}[,"]?/`,
          setting("git-clone-flags", agents.gitCloneFlags),
          setting("git-fetch-flags", agents.gitFetchFlags),
          ...Object.entries(agents.settings).map(([key, value]) => setting(key, String(value))),
        ],
      },
    ],
  ),
  gating(
    {
      id: "agent-name",
      rows: ["G4", "G5"],
      title: `agents are named ${facts.nameTemplate}`,
      help: `name="${facts.nameTemplate}" in ${places.config}`,
    },
    ["file", "agent-name", { path: places.config, exists: true, contents: [setting("name", facts.nameTemplate)] }],
  ),
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
  ofCommand(
    advisory,
    {
      id: "bake-job-hook",
      rows: ["G27"],
      title: "each job gets an EPOCHSECONDS of its own, by which CI names its image",
      help: `${places.hooks}/environment is bake's; a site's own hook is environment.site beside it`,
    },
    `stat -c '%a %U' ${places.hooks}/environment && grep -q /opt/bake/bin/bake-epoch ${places.hooks}/environment`,
    { stdout: [line("755 root")] },
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
