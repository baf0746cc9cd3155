/** A support bundle: what a node says about itself, without its secrets, as a .tar.gz. */
import { chmod, mkdir, mkdtemp, open, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { type HostCommand, type HostOutput, runBatch } from "./on-host.ts";
import { redact } from "./redact.ts";
import type { Ssh } from "../vm/ssh.ts";
import { currentProcess } from "../host/process-identity.ts";

const units = "'bake-*' containerd.service docker.service docker.socket buildkite-agent.service";

/** Lines of the journal that are kept of each unit. */
const journalLines = 5000;

const journal = (unit: string): string =>
  `journalctl --no-pager -b -o short-precise -n ${journalLines} -u ${unit.includes("*") ? `'${unit}'` : unit}`;

/** Docker is asked only while it runs: through its socket a question would start it. */
const askDocker = (command: string): string =>
  `systemctl is-active --quiet docker.service || { echo "docker.service does not run"; exit 1; }; ${command}`;

/** Name in the bundle → command. None of them reads /etc/bake/secrets, or writes on the node. */
const commands: Readonly<Record<string, string>> = {
  "journal-bake.txt": journal("bake-*"),
  "journal-docker.txt": journal("docker.service"),
  "journal-containerd.txt": journal("containerd.service"),
  "journal-buildkite-agent.txt": journal("buildkite-agent.service"),
  "journal-errors.txt": "journalctl --no-pager -b -o short-precise -n 1000 -p err",
  "units-files.txt": `systemctl --no-pager cat ${units}`,
  "units-show.txt": `systemctl --no-pager show ${units}`,
  "units-status.txt": `systemctl --no-pager --full --lines=0 status ${units}`,
  "units-failed.txt": "systemctl --no-pager --failed",
  "units-jobs.txt": "systemctl --no-pager list-jobs",
  "units-timers.txt": "systemctl --no-pager list-timers --all",
  "boot.txt":
    "systemd-analyze --no-pager time; systemd-analyze --no-pager blame | head -n 40; systemd-analyze --no-pager critical-chain",
  "boots.txt": "journalctl --no-pager --list-boots; uptime; who -b",
  "versions.txt":
    'for name in docker containerd runc buildctl git iptables rsync xz; do echo "== $name"; "$name" --version; done; echo "== buildx"; docker buildx version; echo "== agent"; /root/.buildkite-agent/bin/buildkite-agent --version; bash --version | head -n 1; cloud-init --version; uname -a',
  "os-release.txt": "cat /etc/os-release; echo; cat /proc/cmdline",
  "docker-info.txt": askDocker("docker info"),
  "docker-version.txt": askDocker("docker version"),
  "docker-containers.txt": askDocker(
    "docker ps --all --no-trunc; docker images --digests --no-trunc; docker system df",
  ),
  "docker-networks.txt": askDocker("docker network ls; docker network inspect $(docker network ls -q)"),
  "daemon.json.txt": "cat /etc/docker/daemon.json",
  "buildx.txt": askDocker(
    'docker buildx ls; for name in $(ls /root/.docker/buildx/instances); do echo; docker buildx inspect "$name"; done; ls -la /root/.docker/cli-plugins /usr/local/lib/docker/cli-plugins /usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins',
  ),
  "disks.txt":
    "lsblk --output-all || lsblk; echo; blkid; echo; df -hT; echo; df -i; echo; cat /etc/fstab; echo; swapon --show",
  "mounts.txt": "findmnt --df; findmnt",
  "network.txt": "ip address; ip route; ip rule; ip -6 route; cat /etc/resolv.conf /etc/hosts; ss -ltnp",
  "firewall.txt": "iptables-save | head -n 500",
  "memory.txt": "free -m; cat /proc/loadavg /proc/pressure/* ; head -n 5 /proc/meminfo",
  "npu.txt":
    "ls -la /dev/davinci* /dev/devmm_svm /dev/hisi_hdc; npu-smi info; cat /usr/local/Ascend/driver/version.info /etc/ascend_install.info",
  "agent-config.txt":
    "cat /root/.buildkite-agent/buildkite-agent.cfg; ls -la /root/.buildkite-agent /root/.buildkite-agent/hooks",
  "git.txt": "git config --system --list --show-origin; git config --global --list --show-origin",
  "run-bake.txt":
    'for file in /run/bake/*; do [ -f "$file" ] || continue; echo "== $file"; head -c 200000 "$file"; echo; done',
  "image.json.txt": "cat /etc/bake/image.json",
  "dmesg.txt": "dmesg -T | tail -n 1000",
  "cloud-init.txt":
    "cloud-init --version; cloud-init status --long; cat /var/lib/cloud/instance/boot-finished /run/cloud-init/result.json; tail -n 300 /var/log/cloud-init.log",
  "processes.txt": "ps -eo pid,ppid,user,stat,etime,rss,comm --sort=-rss | head -n 100",
};

/** Seconds for everything: a hanging Docker costs 20 of them for each of its commands. */
const bundleDeadline = 400;

/** The commands of a bundle; each ends after 20 seconds and prints what it says to standard output. Pure. */
export const bundleCommands = (): HostCommand[] =>
  Object.entries(commands).map(([name, command]) => ({ name, command: `{ ${command}; } 2>&1`, seconds: 20 }));

/**
 * Runs the bundle's commands on a node.
 * @returns what each printed, as it is: with the node's secrets.
 * @throws BakeError BK516 when the node does not answer to the end.
 */
export const collect = (
  host: Host,
  shell: { readonly ssh: Ssh; readonly shell: string; readonly script: string; readonly name: string },
): Promise<Map<string, HostOutput>> =>
  host.progress.step("bundle", `collect logs and states from ${shell.name}`, () =>
    runBatch(shell.ssh, shell, { commands: bundleCommands(), deadline: bundleDeadline }),
  );

/**
 * Writes the bundle, each text redacted, under a name of its own first, mode 0600.
 * @param report What `bake check --json` prints, when the checks came to an end.
 * @param exact Values of secrets that must not be in it.
 * @throws BakeError BK518 when the file cannot be written.
 */
export const writeBundle = async (
  host: Host,
  file: string,
  outputs: ReadonlyMap<string, HostOutput>,
  { report, exact }: { readonly report: string; readonly exact: readonly string[] },
): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), "bake-bundle-"));
  const fresh = join(dirname(file), `.${basename(file)}.${currentProcess()}`);
  try {
    const name = `bake-bundle-${new Date(host.now()).toISOString().slice(0, 19).replace(/[:T]/g, "-")}`;
    const inside = join(folder, name);
    await mkdir(inside, { mode: 0o700 });
    const put = (path: string, text: string): Promise<void> =>
      writeFile(join(inside, path), redact(text, exact), { mode: 0o600 });
    for (const [path, { stdout, stderr }] of outputs) await put(path, stdout + stderr);
    await put("check.json", report);
    await put(
      "index.txt",
      `${Object.entries(commands)
        .map(([path, command]) => {
          const status = outputs.get(path)?.status;
          return `${path}\texit ${status === 124 ? "124 (time-out)" : (status ?? "not run")}\t${command}`;
        })
        .join("\n")}\n`,
    );
    try {
      // Made by bake with its mode: tar writes into what is there.
      await (await open(fresh, "wx", 0o600)).close();
      await host.run("tar", ["-C", folder, "-czf", fresh, name]);
      await chmod(fresh, 0o600);
      await rename(fresh, file);
    } catch (error) {
      host.signal.throwIfAborted();
      throw new BakeError(
        "BK518",
        `${file} cannot be written: ${(error as Error).message}`,
        "Name a file in a folder that is there.",
      );
    }
  } finally {
    await rm(fresh, { force: true });
    await rm(folder, { recursive: true, force: true });
  }
};
