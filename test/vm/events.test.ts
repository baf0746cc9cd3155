/**
 * Things that happen to a node. They follow each other on one VM, since a boot takes minutes under TCG, and each leaves the
 * node as it found it. One that runs alone, or after one that failed, has a VM that starts from the disks of the ready node.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { chooseAccelerator } from "../../src/vm/accelerator.ts";
import { panicsIn } from "../../src/vm/console.ts";
import { testHost } from "./golden-image.ts";
import { apiFor, boot, endRunningNode, metadata, type RunningNode, runningNode } from "./node/ready-node.ts";
import { expectSystemdToReadWhatIsWritten } from "./node/systemd-reads.ts";

const host = testHost();

/** The one that the event of now happens to. */
let node: RunningNode;

const run = (command: string) => node.started.vm.ssh(command, { allowFailure: true, timeout: 300_000 });
const sh = async (command: string): Promise<string> => {
  const { exitCode, stdout, stderr } = await run(command);
  if (exitCode !== 0) throw new Error(`${command}: exit ${exitCode}\n${stdout}${stderr}`);
  return stdout.trim();
};
const until = async (command: string, seconds: number): Promise<void> => {
  const end = Date.now() + seconds * 1000;
  while ((await run(command)).exitCode !== 0) {
    if (Date.now() > end) {
      throw new Error(
        `not within ${seconds} s: ${command}\n${(await run("bake-status; journalctl -b -n 40 -o cat")).stdout}`,
      );
    }
    await sleep(1000);
  }
};
const agentName = (index: number): string => `bake-test-${index}-2cards`;
/** Starts a job and resolves when it runs; its result comes later. */
const startJob = async (index: number, command: string) => {
  await sh("rm -f /run/job-started /run/go-on");
  const result = node.api.runJob({
    agent: agentName(index),
    command: `touch /run/job-started\n${command}`,
    timeoutMs: 600_000,
  });
  // Looked at later: not an unhandled rejection until then.
  result.catch(() => undefined);
  await until("test -e /run/job-started", 60);
  return { result };
};
/** A job that runs until the test says so. */
const untilToldTo = "until test -e /run/go-on; do sleep 1; done\necho the job came to its end";
const stateOfAgents = async (): Promise<string> => (await run("systemctl is-active buildkite-agent")).stdout.trim();
/** From here on until the next boot the looks are ours, so that they can be counted. */
const stopHealthTimer = (): Promise<string> =>
  sh(
    "systemctl stop bake-health.timer; until systemctl show -p ActiveState --value bake-health.service | grep -qx inactive; do sleep 1; done",
  );
const look = (): Promise<string> => sh("systemctl start bake-health.service; cat /run/bake/status.txt");

/** Registers something that happens to a ready node. */
const event = (name: string, happens: () => Promise<void>): void => {
  test(name, async () => {
    node = await runningNode();
    try {
      await happens();
    } catch (error) {
      await endRunningNode();
      throw error;
    }
  });
};

afterAll(endRunningNode);

event("systemd reads strings that look like syntax as they were written", () =>
  expectSystemdToReadWhatIsWritten(node.started.vm.ssh),
);

event("a node that is ready says so, with its key", async () => {
  const { exitCode, stdout } = await run("bake-status");
  expect(stdout).toMatch(/^status {4}ready for jobs: checked .* 0 failed, not checked: npu$/m);
  expect(stdout).toMatch(/^key {7}ssh-ed25519 AAAA/m);
  expect(stdout).toMatch(/^ {2}buildkite-agent\.service +active running$/m);
  expect(exitCode).toBe(0);
  expect(readFileSync(node.started.vm.consoleLog, "utf8")).toContain("ready for jobs");
  // Kept on the data disk, so that another system disk has it too.
  const key = await sh("cat /mnt/.bake/ssh/id_ed25519.pub");
  await sh("rm /root/.ssh/id_ed25519* && systemctl restart bake-identity");
  expect(await sh("cat /root/.ssh/id_ed25519.pub; cmp /root/.ssh/id_ed25519 /mnt/.bake/ssh/id_ed25519")).toBe(key);
});

event("a daemon.json of the Ascend runtime keeps its entries, beside ours", async () => {
  expect(
    await sh(
      'docker info --format \'{{.DefaultRuntime}} {{index .Runtimes "ascend" | printf "%v"}} {{.DockerRootDir}}\'',
    ),
  ).toMatch(/^ascend .*ascend-docker-runtime.* \/mnt\/docker-data\/docker$/);
  expect(await sh("docker run --rm --runtime ascend --network none bake.local/trial/busybox:1 echo it runs")).toBe(
    "it runs",
  );
  // Removed by the bake: it owned dockerd and docker.service.
  expect((await run("dpkg -s docker-engine")).exitCode).not.toBe(0);
  expect(await sh("apt-mark showhold")).toMatch(/^linux-image-/m);
});

event("the health timer looks by itself", async () => {
  await until("systemctl show -p ExecMainStartTimestampMonotonic --value bake-health.service | grep -vx 0", 180);
});

event("NPUs are looked at where there are some: devices, and files that are no folders", async () => {
  await stopHealthTimer();
  await sh("sed -i.kept /BAKE_ABSENT/d /etc/bake/instance.env");
  const without = await run("/opt/bake/bin/bake-ready");
  expect(without.exitCode).toBe(1);
  expect(without.stdout).toContain("failed G5 /dev/davinci7 is a device");
  expect(without.stdout).toContain("failed G5 /etc/ascend_install.info is a file");
  await sh(`for device in davinci0 davinci1 davinci2 davinci3 davinci4 davinci5 davinci6 davinci7 davinci_manager devmm_svm hisi_hdc; do
  mknod /dev/$device c 1 3; done
mkdir -p /usr/local/dcmi /usr/local/Ascend/driver/lib64 /usr/local/bin
touch /usr/local/bin/npu-smi /usr/local/Ascend/driver/version.info /etc/ascend_install.info`);
  expect((await run("/opt/bake/bin/bake-ready")).stdout).toMatch(/^ready for jobs: .* 0 failed$/m);
  // What dockerd makes of a mount source that is missing.
  await sh("rm /usr/local/Ascend/driver/version.info && mkdir /usr/local/Ascend/driver/version.info");
  const folder = await run("/opt/bake/bin/bake-ready");
  expect(folder.exitCode).toBe(1);
  expect(folder.stdout).toContain("failed G5 /usr/local/Ascend/driver/version.info is a file");
  expect(folder.stdout).toContain("Docker made it for a missing mount source");
  await sh(
    "rm -r /usr/local/dcmi /usr/local/Ascend/driver /usr/local/bin/npu-smi /etc/ascend_install.info; rm /dev/davinci* /dev/devmm_svm /dev/hisi_hdc; mv /etc/bake/instance.env.kept /etc/bake/instance.env; /opt/bake/bin/bake-ready",
  );
});

event("a stop of the service waits for the job, and the health timer leaves it stopped", async () => {
  await stopHealthTimer();
  const { result } = await startJob(1, untilToldTo);
  await sh("systemctl stop --no-block buildkite-agent");
  await until("journalctl -b -u buildkite-agent -o cat | grep -q 'Waiting for current job to finish'", 60);
  expect(await stateOfAgents()).toBe("deactivating");
  await sh("touch /run/go-on");
  const { exitStatus, log } = await result;
  expect(log).toContain("the job came to its end");
  expect(exitStatus).toBe(0);
  await until('[ "$(systemctl is-active buildkite-agent)" = inactive ]', 60);
  await look();
  expect(await stateOfAgents()).toBe("inactive");
  await sh("systemctl start --no-block buildkite-agent");
  await node.api.waitForAgents(boot);
});

event("dockerd is killed during a job: it comes back, containers and agents go on", async () => {
  await stopHealthTimer();
  const agents = await sh("systemctl show -p MainPID --value buildkite-agent");
  const builder = await sh("docker inspect --format '{{.State.Pid}}' buildx_buildkit_cachebuilder10");
  const { result } = await startJob(
    2,
    "docker run --name survivor --network none bake.local/trial/busybox:1 sleep 40 || true\ndocker version",
  );
  await until("docker ps --format '{{.Names}}' | grep -q survivor", 60);
  const back = Number(
    await sh(`pkill -KILL -x dockerd; read -r from _ </proc/uptime
  until docker version >/dev/null 2>&1; do sleep 0.2; done
  read -r to _ </proc/uptime; awk -v from=$from -v to=$to 'BEGIN { print to - from }'`),
  );
  console.log(`dockerd was back after ${back} s`);
  // An emulated processor alone needs 8 s of them when the machine is quiet.
  const { accel } = await chooseAccelerator({
    host,
    architecture: node.golden.plan.target.architecture,
    image: node.golden.image,
  });
  expect(back).toBeLessThan(accel === "kvm" ? 10 : 20);
  expect((await run("docker inspect --format '{{.State.Status}}' survivor")).stdout.trim()).toMatch(/running|exited/);
  expect(await sh("docker inspect --format '{{.State.Pid}}' buildx_buildkit_cachebuilder10")).toBe(builder);
  await result;
  expect(await sh("systemctl show -p MainPID --value buildkite-agent")).toBe(agents);
  const again = await node.api.runJob({
    agent: agentName(2),
    command:
      "docker rm -f survivor\ndocker run --rm --network none bake.local/trial/busybox:1 echo again\ndocker system prune -f",
    timeoutMs: 120_000,
  });
  expect(again.exitStatus, again.log).toBe(0);
});

event("builders are made anew when their pin changes or they are gone, and keep their cache", async () => {
  await stopHealthTimer();
  const container = "buildx_buildkit_cachebuilder10";
  const before = await sh(
    `docker exec ${container} sh -c 'echo kept >/var/lib/buildkit/marker'; docker inspect --format '{{.Id}}' ${container}`,
  );
  await sh("docker exec buildx_buildkit_cachebuilder20 sh -c 'echo kept >/var/lib/buildkit/marker'");
  await sh("echo '# another configuration' >>/etc/bake/buildkitd.toml");
  // What a job's clean-up does to a builder that is not running.
  await sh("docker stop buildx_buildkit_cachebuilder20 && docker system prune -f");
  expect((await run("docker inspect buildx_buildkit_cachebuilder20")).exitCode).not.toBe(0);
  await sh("systemctl restart bake-builders");
  expect(await sh(`docker inspect --format '{{.Id}}' ${container}`)).not.toBe(before);
  for (const name of [container, "buildx_buildkit_cachebuilder20"]) {
    expect(await sh(`docker exec ${name} cat /var/lib/buildkit/marker`)).toBe("kept");
  }
  const unchanged = await sh(`docker inspect --format '{{.Id}}' ${container}`);
  await sh("systemctl restart bake-builders");
  expect(await sh(`docker inspect --format '{{.Id}}' ${container}`)).toBe(unchanged);
  expect(await sh("docker image ls --format '{{.Repository}}:{{.Tag}}'")).toContain("moby/buildkit:v0.26.1");
});

event("what a job's `docker system prune -af` took is brought back, and so is ip_forward; jobs go on", async () => {
  await stopHealthTimer();
  await sh("docker system prune -af");
  expect((await run("docker image inspect bake.local/trial/busybox:1")).exitCode).not.toBe(0);
  expect(await look()).toContain("failed G27 image bake.local/trial/busybox:1");
  // The seed is unpacked, and a Docker started on it.
  await until("docker image inspect bake.local/trial/busybox:1", 400);
  await until('[ "$(systemctl show -p ActiveState --value bake-images)" = active ]', 60);
  await sh("echo net.ipv4.ip_forward=0 >/etc/sysctl.d/99-base.conf; systemctl restart systemd-sysctl");
  expect(await sh("cat /proc/sys/net/ipv4/ip_forward; rm /etc/sysctl.d/99-base.conf")).toBe("1");
  await sh("echo 0 >/proc/sys/net/ipv4/ip_forward");
  await look();
  expect(await sh("cat /proc/sys/net/ipv4/ip_forward")).toBe("1");
  expect(await look()).toMatch(/^ready for jobs/);
  expect(await stateOfAgents()).toBe("active");
});

event(
  "a full data disk stops the agents after their jobs; an override brings them back, and so does room",
  async () => {
    await stopHealthTimer();
    await sh("fallocate -l $(( $(df -B1 --output=avail /mnt | tail -n 1) - 500000000 )) /mnt/full");
    const { result } = await startJob(3, untilToldTo);
    expect(await look()).toContain("failed G16 /mnt has 1 GiB free");
    expect(await stateOfAgents()).toBe("active");
    await look();
    expect(await stateOfAgents()).toBe("deactivating");
    await sh("touch /run/go-on");
    expect((await result).log).toContain("the job came to its end");
    await until('[ "$(systemctl is-active buildkite-agent)" = inactive ]', 60);
    expect((await run("bake-status")).stdout).toContain("the health timer stopped the agents");
    expect(readFileSync(node.started.vm.consoleLog, "utf8")).toContain("the agents stop after their jobs");

    await sh("bake-override 'we clean up today'");
    await node.api.waitForAgents(boot);
    await look();
    await look();
    expect(await stateOfAgents()).toBe("active");
    expect((await run("bake-status")).stdout).toContain("OVERRIDDEN until the next boot: we clean up today (by root");

    await run("bake-override --off");
    await look();
    await look();
    await until('[ "$(systemctl is-active buildkite-agent)" = inactive ]', 60);
    await sh("rm /mnt/full");
    expect(await look()).toMatch(/^ready for jobs/);
    await node.api.waitForAgents(boot);
  },
);

event("a missing token keeps the agents from starting; another one comes without a new image", async () => {
  await stopHealthTimer();
  await sh(
    "systemctl stop buildkite-agent; rm /etc/bake/secrets/agent-token; systemctl start --no-block buildkite-agent",
  );
  await until('journalctl -b -u buildkite-agent -o cat | grep -q "failed G3 the agent\'s token is there"', 120);
  expect(await stateOfAgents()).not.toBe("active");
  node.token = "another-token";
  node.api.rotateToken(node.token);
  const rotated = await node.started.vm.ssh("bake-token", { input: "another-token\n", timeout: 120_000 });
  expect(rotated.stdout).toContain("the agents restart with it");
  await node.api.waitForAgents(boot);
  expect(await sh("stat -c '%a %U' /etc/bake/secrets/agent-token")).toBe("600 root");
  expect((await node.started.vm.ssh("bake-token", { input: "`worse`\n", allowFailure: true })).stderr).toContain(
    "that is no token",
  );
  await node.api.waitForAgents(boot);
});

event(
  "a kernel that panics starts again; with its clock far off and no agent API the agents come when that is up",
  async () => {
    const { port } = node.api;
    await node.api.close();
    await sh("timedatectl set-time '2037-03-01 12:00:00'");
    await node.started.vm.reboot(
      boot,
      "sync; echo 1 >/proc/sys/kernel/sysrq; (sleep 1; echo c >/proc/sysrq-trigger) </dev/null >/dev/null 2>&1 &",
    );
    expect(panicsIn(readFileSync(node.started.vm.consoleLog, "utf8")).join()).toContain("sysrq triggered crash");
    await until("test -e /run/bake/status.json && systemctl is-active --quiet buildkite-agent", 600);
    expect(await sh("date +%Y")).toBe("2037");
    expect((await run("bake-status")).stdout).toMatch(/ready for jobs: checked 2037-/);
    expect(await stateOfAgents()).toBe("active");
    node.api = await apiFor(node.golden, node.token, port);
    await node.api.waitForAgents(boot);
    expect(node.api.problems()).toEqual([]);
  },
);

event("the metadata service is closed to all but named users, and open while the unit is stopped", async () => {
  const ask = "curl -s --max-time 10 http://169.254.169.254/";
  expect((await run(ask)).stdout).toBe("");
  await sh(
    "sed -i.kept 's/^METADATA_EXCEPT_USERS=.*/METADATA_EXCEPT_USERS=\"nobody root no-such-user\"/' /etc/bake/metadata.env",
  );
  await sh("systemctl restart bake-metadata");
  expect(await sh(`setpriv --reuid nobody --clear-groups ${ask}`)).toBe(metadata);
  expect((await run(ask)).stdout).toBe("");
  expect(
    (
      await run(
        `docker run --rm --network host bake.local/trial/busybox:1 busybox wget -q -T 5 -O - http://169.254.169.254/`,
      )
    ).exitCode,
  ).not.toBe(0);
  // networkd takes rules away that it does not know, unless it is told not to.
  await sh("systemctl restart systemd-networkd && /usr/lib/systemd/systemd-networkd-wait-online --timeout=60");
  expect((await run(ask)).stdout).toBe("");
  await sh("systemctl stop bake-metadata");
  expect(await sh(ask)).toBe(metadata);
  await sh("mv /etc/bake/metadata.env.kept /etc/bake/metadata.env; systemctl start bake-metadata");
  expect((await run(ask)).stdout).toBe("");
});

event("a data disk that met an error takes no writes, and the node no jobs", async () => {
  await sh("echo 1 >/sys/fs/ext4/$(basename $(findmnt -no SOURCE /mnt))/trigger_fs_error");
  expect((await run("touch /mnt/write")).exitCode).not.toBe(0);
  expect(await look()).toContain("failed G18 /mnt is writable");
  expect(await look()).toContain("help: a file system that met an error goes read-only");
  await until('[ "$(systemctl is-active buildkite-agent)" != active ]', 120);
  // Nothing mends such a disk but a reboot.
  await endRunningNode();
});
