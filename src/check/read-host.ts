/** What a host that was set up by hand has, as answers for a new profile. Nothing is changed, and no secret is asked for. */
import { agentCommands, agentFinding, pypiCacheFinding } from "./host-reading/agent.ts";
import { dockerCommands, dockerFinding } from "./host-reading/docker.ts";
import type { Finding, Said } from "./host-reading/finding.ts";
import { dockerProxyFinding, proxyCommands } from "./host-reading/http-proxy.ts";
import { gitCommands, gitFinding } from "./host-reading/git.ts";
import { type HostCommand, type HostOutput, runBatch } from "./on-host.ts";
import type { RootShell } from "./check-host.ts";

/** By name; each ends by itself within seconds. */
const commands: Readonly<Record<string, string>> = {
  hostname: "hostname",
  architecture: "uname -m",
  system: '. /etc/os-release && echo "$ID $VERSION_ID"',
  npus: "ls -d /dev/davinci[0-9]* 2>/dev/null | wc -l",
  keys: "grep -cE '^[^#]*(ssh-|ecdsa-)' /root/.ssh/authorized_keys 2>/dev/null",
  ...agentCommands,
  ...dockerCommands,
  ...gitCommands,
  ...proxyCommands,
};

/** Whatever was found; the rest is the caller's to know. */
export type HostReading = Required<Finding>;

/** What the outputs of `commands` say. Pure. */
export const readingOf = (outputs: ReadonlyMap<string, Pick<HostOutput, "status" | "stdout">>): HostReading => {
  // Lines keep their numbers: blanks at the start stay.
  const said: Said = (name) => outputs.get(name)?.stdout.trimEnd() ?? "";
  const npus = Number(said("npus"));
  const architecture = said("architecture").trim();
  const system = said("system").trim();
  const keys = Number(said("keys"));
  const agents = agentFinding(said);
  const parts: readonly Finding[] = [
    agents,
    dockerFinding(said),
    dockerProxyFinding(said, agents.answers.httpProxy),
    { answers: npus > 0 ? { npus } : {}, notes: npus > 0 ? [] : ["NPUs: none found there"] },
    pypiCacheFinding(said),
    gitFinding(said),
    {
      answers: {
        from: said("hostname").trim(),
        ...((architecture === "x86_64" || architecture === "aarch64") && { architecture }),
      },
      notes: [
        ...(keys > 0 ? [`ssh: ${keys} keys may log in as root there; ssh.operatorKeys is yours to fill`] : []),
        ...(system === "" ? [] : [`system there: ${system}; targets.qemu.base is yours to choose`]),
      ],
    },
  ];
  return {
    answers: Object.assign({}, ...parts.map(({ answers }) => answers)) as HostReading["answers"],
    notes: parts.flatMap(({ notes }) => notes),
    warnings: parts.flatMap(({ warnings = [] }) => warnings),
  };
};

/**
 * Reads what a host has, as answers for a new profile.
 * @throws BakeError BK516 when the host does not answer to the end.
 */
export const readHost = async (shell: RootShell): Promise<HostReading> => {
  const list: HostCommand[] = Object.entries(commands).map(([name, command]) => ({ name, command, seconds: 20 }));
  return readingOf(await runBatch(shell.ssh, shell, { commands: list, deadline: 120 }));
};
