/** What a host that was set up by hand has, as answers for a new profile. Nothing is changed, and no secret is asked for. */
import type { Answers } from "../profile/new-profile.ts";
import { type HostCommand, type HostOutput, runBatch } from "./on-host.ts";
import type { RootShell } from "./check-host.ts";

/** By name; each ends by itself within seconds. */
const commands: Readonly<Record<string, string>> = {
  hostname: "hostname",
  architecture: "uname -m",
  system: '. /etc/os-release && echo "$ID $VERSION_ID"',
  npus: "ls -d /dev/davinci[0-9]* 2>/dev/null | wc -l",
  // Without its token.
  agent:
    "cat /root/.buildkite-agent/buildkite-agent.cfg /etc/buildkite-agent/buildkite-agent.cfg 2>/dev/null | grep -v '^[[:space:]#]*token'",
  agentVersion: "(/root/.buildkite-agent/bin/buildkite-agent --version || buildkite-agent --version) 2>/dev/null",
  environment:
    "{ systemctl show -p Environment --value buildkite-agent.service | tr ' ' '\\n'; cat /etc/bake/agent.env 2>/dev/null; } | tr -d '\"' | grep '^PYPI_CACHE_'",
  docker: "docker info --format '{{.ServerVersion}} {{.DockerRootDir}}'",
  buildx: "HOME=/root docker buildx version",
  builder: "docker inspect --format '{{.Config.Image}}' buildx_buildkit_cachebuilder10",
  images: "docker image ls --format '{{.Repository}}:{{.Tag}}'",
  disk: `root=$(docker info --format '{{.DockerRootDir}}') && findmnt -nr -o TARGET,FSTYPE,UUID --target "\${root:-/mnt}"`,
  gitProxy:
    "{ git config --system --get-regexp '^url\\..*\\.insteadof$'; HOME=/root git config --global --get-regexp '^url\\..*\\.insteadof$'; } 2>/dev/null",
};

export interface HostReading {
  /** Whatever was found; the rest is the caller's to know. */
  readonly answers: Partial<Answers>;
  /** What a person should look at, one line each. */
  readonly notes: readonly string[];
}

const valueOf = (settings: string, key: string): string | undefined =>
  new RegExp(`^\\s*${key}\\s*[=:]\\s*"?([^"\\n]*)"?\\s*$`, "m").exec(settings)?.[1];

/** Images of bake's and of CI's own: the former come by themselves, the latter are made by jobs. */
const notOurs = /^(localhost(:\d+)?\/|bake\.local\/|npu\/vllm-ci:|moby\/buildkit:)|<none>/;

/** What the outputs of `commands` say. Pure. */
export const readingOf = (outputs: ReadonlyMap<string, Pick<HostOutput, "status" | "stdout">>): HostReading => {
  const said = (name: string): string => outputs.get(name)?.stdout.trim() ?? "";
  const notes: string[] = [];
  const found = <T>(what: string, value: T | undefined): T | undefined => {
    if (value === undefined) notes.push(`${what}: not found there`);
    return value;
  };
  const agent = said("agent");
  const npus = Number(said("npus"));
  const spawn = found("spawn of the agents", /^\d+$/.exec(valueOf(agent, "spawn") ?? "")?.[0]);
  const cards = found(
    "cards of each agent (…-<cards>cards in the agent's name)",
    /-(\d+)cards$/.exec(valueOf(agent, "name") ?? "")?.[1],
  );
  const queue = found(
    "queue",
    /(?:^|,)\s*queue=([^,\s]+)/.exec(valueOf(agent, "tags") ?? "")?.[1] ?? valueOf(agent, "queue"),
  );
  const agentVersion = found("agent version", /\d+\.\d+\.\d+/.exec(said("agentVersion"))?.[0]);
  const [dockerVersion, dataRoot] = said("docker").split(" ");
  const version = found("Docker", /^\d+\.\d+\.\d+/.exec(dockerVersion ?? "")?.[0]);
  const buildxVersion = found("buildx", /v(\d+\.\d+\.\d+)/.exec(said("buildx"))?.[1]);
  const builder = found(
    "image of cachebuilder1",
    said("builder") === ""
      ? undefined
      : said("builder")
          .replace(/@.*$/, "")
          .replace(/^localhost:\d+\//, "")
          .replace(/^docker\.io\//, ""),
  );
  const [target, filesystem, uuid] = said("disk").split(/\s+/);
  const apart = target !== undefined && /^\/[^/]/.test(target) && !/^\/(var|usr|opt|root|home)(\/|$)/.test(target);
  const onDisk = apart && uuid !== undefined && (filesystem === "ext4" || filesystem === "xfs");
  if (!apart) notes.push("data disk: Docker's data-root lies on the system disk; a blank NVMe disk is taken");
  else if (!onDisk)
    notes.push(`data disk: ${target} is ${filesystem ?? "unknown"}, neither ext4 nor xfs; a blank NVMe disk is taken`);
  if (npus === 0) notes.push("NPUs: none found there");
  const host = found("PyPI cache", /^PYPI_CACHE_HOST=(.+)$/m.exec(said("environment"))?.[1]);
  const port = /^PYPI_CACHE_PORT=(\d+)$/m.exec(said("environment"))?.[1];
  const [, via, from] = /^url\.(\S+)\.insteadof\s+(\S+)$/im.exec(said("gitProxy")) ?? [];
  if (via !== undefined && /:\/\/[^/]*@/.test(via))
    notes.push("git proxy: its URL holds credentials, they were left out");
  const images = said("images")
    .split("\n")
    .filter((image) => image !== "" && !notOurs.test(image) && image !== builder);
  const architecture = said("architecture");
  return {
    answers: {
      from: said("hostname"),
      ...(npus > 0 && { npus }),
      ...(spawn !== undefined && { spawn: Number(spawn) }),
      ...(cards !== undefined && { cards: Number(cards) }),
      ...(queue !== undefined && { queue }),
      ...(agentVersion !== undefined && { agentVersion }),
      ...(version !== undefined && { dockerVersion: version }),
      // Mounted at the data-root itself: a folder in it leaves room for the caches.
      ...(dataRoot?.startsWith("/") === true &&
        onDisk && { dataRoot: dataRoot === target ? `${target}/docker` : dataRoot }),
      ...(buildxVersion !== undefined && { buildxVersion }),
      ...(builder !== undefined && { buildkitImage: builder }),
      ...(onDisk && { adopt: `UUID=${uuid}`, mount: target, ...(filesystem === "xfs" && { filesystem }) }),
      ...(host !== undefined && port !== undefined && { pypiCache: { host, port: Number(port) } }),
      ...(via !== undefined &&
        from !== undefined && { gitProxy: { for: from, via: via.replace(/:\/\/[^/]*@/, "://") } }),
      images,
      ...((architecture === "x86_64" || architecture === "aarch64") && { architecture }),
    },
    notes: [
      ...notes,
      ...(said("system") === "" ? [] : [`system there: ${said("system")}; targets.qemu.base is yours to choose`]),
    ],
  };
};

/**
 * Reads what a host has, as answers for a new profile.
 * @throws BakeError BK516 when the host does not answer to the end.
 */
export const readHost = async (shell: RootShell): Promise<HostReading> => {
  const list: HostCommand[] = Object.entries(commands).map(([name, command]) => ({ name, command, seconds: 20 }));
  return readingOf(await runBatch(shell.ssh, shell, { commands: list, deadline: 90 }));
};
