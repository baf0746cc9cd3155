/** What a node does when things happen to it: one VM, one thing after the other. Takes minutes under TCG. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AgentApi, startAgentApi } from "../../src/check/agent-api.ts";
import { chooseAccelerator } from "../../src/build/accelerator.ts";
import type { DiskFile } from "../../src/check/vm.ts";
import { root } from "../../src/root.ts";
import { cache, type GoldenImage, goldenImage, type StartedVm, startVm, testHost } from "./golden-image.ts";

const host = testHost();
const boot = 15 * 60_000;
const firstToken = "first-token-of-the-test";
let golden: GoldenImage;
let api: AgentApi;
let started: StartedVm;
let apiOptions: Parameters<typeof startAgentApi>[0];

const run = (command: string) => started.vm.ssh(command, { allowFailure: true, timeout: 300_000 });
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
  await sh("rm -f /run/job-started");
  const result = api.runJob({
    agent: agentName(index),
    command: `touch /run/job-started\n${command}`,
    timeoutMs: 600_000,
  });
  // Looked at later: not an unhandled rejection until then.
  result.catch(() => undefined);
  await until("test -e /run/job-started", 60);
  return { result };
};
const look = (): Promise<string> => sh("systemctl start bake-health.service; cat /run/bake/status.txt");

beforeAll(async () => {
  golden = await goldenImage();
  const { bakeId } = JSON.parse(readFileSync(join(golden.folder, "image.json"), "utf8")) as { bakeId: string };
  apiOptions = {
    now: Date.now,
    expected: {
      token: firstToken,
      spawn: 4,
      nameTemplate: (index) => `%hostname-${index}-2cards`,
      hostname: "bake-test",
      tags: ["queue=ascend", `bake-id=${bakeId}`],
    },
  };
  api = await startAgentApi(apiOptions);
  started = await startVm(host, golden, {
    dataDiskGiB: 8,
    metadata: "something\n",
    instance: {
      agentToken: firstToken,
      environment: { BUILDKITE_AGENT_ENDPOINT: api.endpoint("10.0.2.2"), BAKE_ABSENT: "npu" },
    },
  });
  await started.vm.waitForSsh(boot);
  await api.waitForAgents(boot);
});
afterAll(async () => {
  await started?.end();
  await api?.close();
});

test("a node that is ready says so, with its key", async () => {
  const { exitCode, stdout } = await run("bake-status");
  expect(stdout).toMatch(/^status {4}ready for jobs: checked .* 0 failed, not checked: npu$/m);
  expect(stdout).toMatch(/^key {7}ssh-ed25519 AAAA/m);
  expect(stdout).toMatch(/^ {2}buildkite-agent\.service +active running$/m);
  expect(exitCode).toBe(0);
  expect(readFileSync(started.vm.consoleLog, "utf8")).toContain("ready for jobs");
  // Kept on the data disk, so that another system disk has it too.
  expect(await sh("cmp /root/.ssh/id_ed25519 /mnt/.bake/ssh/id_ed25519 && echo same")).toBe("same");
});

test("a daemon.json of the Ascend runtime keeps its entries, beside ours", async () => {
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

test("the health timer looks by itself", async () => {
  await until("systemctl show -p ExecMainStartTimestampMonotonic --value bake-health.service | grep -vx 0", 180);
  // From here on the looks are ours, so that they can be counted; the timer is back after the reboot.
  await sh(
    "systemctl stop bake-health.timer; until systemctl show -p ActiveState --value bake-health.service | grep -qx inactive; do sleep 1; done",
  );
});

test("NPUs are looked at where there are some: devices, and files that are no folders", async () => {
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
    "rmdir /usr/local/Ascend/driver/version.info; rm /dev/davinci* /dev/devmm_svm /dev/hisi_hdc; mv /etc/bake/instance.env.kept /etc/bake/instance.env; /opt/bake/bin/bake-ready",
  );
});

test("a stop of the service waits for the job, and the health timer leaves it stopped", async () => {
  const { result } = await startJob(1, "sleep 15\necho the job came to its end");
  await sh("systemctl stop --no-block buildkite-agent");
  const { exitStatus, log } = await result;
  expect(log).toContain("the job came to its end");
  expect(exitStatus).toBe(0);
  await until('[ "$(systemctl is-active buildkite-agent)" = inactive ]', 60);
  await look();
  expect((await run("systemctl is-active buildkite-agent")).stdout.trim()).toBe("inactive");
  await sh("systemctl start --no-block buildkite-agent");
  await api.waitForAgents(boot);
});

test("dockerd is killed during a job: it comes back, containers and agents go on", async () => {
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
  // Ten seconds on a real processor; an emulated one takes as long for dockerd alone.
  const { accel } = await chooseAccelerator({ host, image: golden.image });
  expect(back).toBeLessThan(accel === "kvm" ? 10 : 45);
  expect((await run("docker inspect --format '{{.State.Status}}' survivor")).stdout.trim()).toMatch(/running|exited/);
  expect(await sh("docker inspect --format '{{.State.Pid}}' buildx_buildkit_cachebuilder10")).toBe(builder);
  await result;
  expect(await sh("systemctl show -p MainPID --value buildkite-agent")).toBe(agents);
  const again = await api.runJob({
    agent: agentName(2),
    command:
      "docker rm -f survivor\ndocker run --rm --network none bake.local/trial/busybox:1 echo again\ndocker system prune -f",
    timeoutMs: 120_000,
  });
  expect(again.exitStatus, again.log).toBe(0);
});

test("builders are made anew when their pin changes or they are gone, and keep their cache", async () => {
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

test("a full data disk stops the agents after their jobs; an override brings them back, and so does room", async () => {
  await sh("fallocate -l $(( $(df -B1 --output=avail /mnt | tail -n 1) - 500000000 )) /mnt/full");
  const { result } = await startJob(3, "sleep 30\necho the job came to its end");
  expect(await look()).toContain("failed G16 /mnt has 1 GiB free");
  expect(await sh("systemctl is-active buildkite-agent")).toBe("active");
  await look();
  expect((await result).log).toContain("the job came to its end");
  await until('[ "$(systemctl is-active buildkite-agent)" = inactive ]', 60);
  expect((await run("bake-status")).stdout).toContain("the health timer stopped the agents");
  expect(readFileSync(started.vm.consoleLog, "utf8")).toContain("the agents stop after their jobs");

  await sh("bake-override 'we clean up today'");
  await api.waitForAgents(boot);
  await look();
  await look();
  expect(await sh("systemctl is-active buildkite-agent")).toBe("active");
  expect((await run("bake-status")).stdout).toContain("OVERRIDDEN until the next boot: we clean up today (by root");

  await run("bake-override --off");
  await look();
  await look();
  await until('[ "$(systemctl is-active buildkite-agent)" = inactive ]', 60);
  await sh("rm /mnt/full");
  expect(await look()).toMatch(/^ready for jobs/);
  await api.waitForAgents(boot);
});

test("a missing token keeps the agents from starting; another one comes without a new image", async () => {
  await sh(
    "systemctl stop buildkite-agent; rm /etc/bake/secrets/agent-token.env; systemctl start --no-block buildkite-agent",
  );
  await until('journalctl -b -u buildkite-agent -o cat | grep -q "failed G3 the agent\'s token is there"', 120);
  expect((await run("systemctl is-active buildkite-agent")).stdout.trim()).not.toBe("active");
  api.rotateToken("another-token");
  const rotated = await started.vm.ssh("bake-token", { input: "another-token\n", timeout: 120_000 });
  expect(rotated.stdout).toContain("the agents restart with it");
  await api.waitForAgents(boot);
  expect(await sh("stat -c '%a %U' /etc/bake/secrets/agent-token.env")).toBe("600 root");
  expect((await started.vm.ssh("bake-token", { input: "`worse`\n", allowFailure: true })).stderr).toContain(
    "that is no token",
  );
  await api.waitForAgents(boot);
});

test("an agent API that is down at boot, and a clock that is far off: the agents come when it is up", async () => {
  const { port } = api;
  await api.close();
  await sh("timedatectl set-time '2037-03-01 12:00:00'");
  await started.vm.reboot(boot);
  await until("test -e /run/bake/status.json && systemctl is-active --quiet buildkite-agent", 600);
  expect(await sh("date +%Y")).toBe("2037");
  expect((await run("bake-status")).stdout).toMatch(/ready for jobs: checked 2037-/);
  expect(await sh("systemctl is-active buildkite-agent")).toBe("active");
  api = await startAgentApi({ ...apiOptions, port, expected: { ...apiOptions.expected, token: "another-token" } });
  await api.waitForAgents(boot);
  expect(api.problems()).toEqual([]);
});

test("the metadata service is closed to all but named users, and open while the unit is stopped", async () => {
  const ask = "curl -s --max-time 10 http://169.254.169.254/";
  expect((await run(ask)).stdout).toBe("");
  await sh(
    "sed -i 's/^METADATA_EXCEPT_USERS=.*/METADATA_EXCEPT_USERS=\"nobody root no-such-user\"/' /etc/bake/metadata.env",
  );
  await sh("systemctl restart bake-metadata");
  expect(await sh(`setpriv --reuid nobody --clear-groups ${ask}`)).toBe("something");
  expect((await run(ask)).stdout).toBe("");
  expect(
    (
      await run(
        `docker run --rm --network host bake.local/trial/busybox:1 busybox wget -q -T 5 -O - http://169.254.169.254/`,
      )
    ).exitCode,
  ).not.toBe(0);
  // networkd takes rules away that it does not know, unless it is told not to.
  await sh("systemctl restart systemd-networkd && sleep 3");
  expect((await run(ask)).stdout).toBe("");
  await sh("systemctl stop bake-metadata");
  expect(await sh(ask)).toBe("something");
  await sh("systemctl start bake-metadata");
  expect((await run(ask)).stdout).toBe("");
});

/** The data disk while all was well, and what was on it. */
let keptDisk: DiskFile;
let kept: { readonly key: string; readonly volumes: string };

test("a data disk that met an error takes no writes, and the node no jobs", async () => {
  await sh("mkdir -p /mnt/docker-cache3 && echo kept >/mnt/docker-cache3/kept && sync");
  kept = { key: await sh("cat /mnt/.bake/ssh/id_ed25519.pub"), volumes: await sh("docker volume ls -q | sort") };
  keptDisk = (await started.vm.snapshot()).data["data"] as DiskFile;
  await sh("echo 1 >/sys/fs/ext4/$(basename $(findmnt -no SOURCE /mnt))/trigger_fs_error");
  await run("touch /mnt/write; sync");
  expect(await look()).toContain("failed G18 /mnt is writable");
  expect(await look()).toContain("help: a file system that met an error goes read-only");
  await until('[ "$(systemctl is-active buildkite-agent)" != active ]', 120);
});

describe("a data disk of another profile", () => {
  /** Part of the baked image, so it is always the same. */
  const proxyPort = 38_465;
  const gitToken = `github_pat_${"0123456789abcdefghijABCDEFGHIJ".repeat(3)}xyz`;
  const folder = join(cache, "test/golden");
  let other: GoldenImage;

  beforeAll(async () => {
    mkdirSync(join(folder, "profiles"), { recursive: true });
    const text = readFileSync(join(root, "profiles/2cards.yaml"), "utf8")
      .replace("spawn: 4", "spawn: 2")
      .replace("cards: 2", "cards: 4")
      .replace("via: https://gh-proxy.test.osinfra.cn/", `via: http://10.0.2.2:${proxyPort}/`)
      .replace("network:\n", 'network:\n  httpProxy: { url: "http://127.0.0.1:9", except: [10.0.2.2] }\n')
      .replace("secrets:\n", "secrets:\n  gitToken: { env: GIT_TOKEN }\n  proxyCredentials: { env: PROXY }\n");
    writeFileSync(join(folder, "profiles/4cards-test.yaml"), text);
    other = await goldenImage("4cards-test");
  });

  test("everything that was there stays, what is new is added", async () => {
    await started.vm.kill();
    const served: string[] = [];
    const gitServer = createServer((request, response) => {
      served.push(`${request.method} ${request.url} ${request.headers.authorization}`);
      response.writeHead(404).end();
    });
    await new Promise<void>((done) => gitServer.listen(proxyPort, "127.0.0.1", done));
    const { expected } = apiOptions;
    const another = await startAgentApi({
      now: Date.now,
      expected: { ...expected, spawn: 2, nameTemplate: (index) => `%hostname-${index}-4cards`, tags: ["queue=ascend"] },
    });
    const second = await startVm(host, other, {
      disks: [{ id: "data", serial: "bake-check-1", from: { childOf: keptDisk } }],
      instance: {
        agentToken: firstToken,
        gitToken,
        proxyCredentials: "robot:pa ss@word",
        environment: { BUILDKITE_AGENT_ENDPOINT: another.endpoint("10.0.2.2"), BAKE_ABSENT: "npu" },
      },
    });
    const there = async (command: string): Promise<string> =>
      (await second.vm.ssh(command, { allowFailure: true, timeout: 120_000 })).stdout.trim();
    try {
      await second.vm.waitForSsh(boot);
      await another.waitForAgents(boot);
      expect(another.problems()).toEqual([]);
      expect(await there("journalctl -b -u bake-storage -o cat")).not.toContain("making ext4");
      expect(await there("cat /mnt/docker-cache3/kept")).toBe("kept");
      expect(await there("cat /root/.ssh/id_ed25519.pub")).toBe(kept.key);
      expect(await there("docker volume ls -q | sort")).toBe(kept.volumes);
      expect(
        await there("docker buildx inspect cachebuilder2 | grep ^Status; ls /root/.docker/buildx/instances"),
      ).toMatch(/cachebuilder1\s+cachebuilder2$/);
      // The whole header of a fine-grained token, once, to the proxy alone.
      await there("cd / && git ls-remote https://github.com/owner/private.git");
      const header = `Basic ${Buffer.from(`x-access-token:${gitToken}`).toString("base64")}`;
      expect(served.map((line) => line.replace(/basic/i, "Basic"))).toContain(
        `GET /https://github.com/owner/private.git/info/refs?service=git-upload-pack ${header}`,
      );
      expect(await there("git config --system --list; cat /root/.gitconfig")).not.toContain("AUTHORIZATION");
      // Docker, builders and jobs have the proxy, with its credentials.
      const proxy = "http://robot:pa%20ss%40word@127.0.0.1:9";
      expect(await there("docker info --format '{{.HTTPProxy}} {{.NoProxy}}'")).toMatch(
        /^http:\/\/xxxxx:xxxxx@127\.0\.0\.1:9 .*10\.0\.2\.2/,
      );
      expect(await there("docker inspect --format '{{.Config.Env}}' buildx_buildkit_cachebuilder10")).toContain(
        `HTTPS_PROXY=${proxy}`,
      );
      const job = await another.runJob({
        agent: "bake-test-1-4cards",
        command: "echo $HTTP_PROXY",
        timeoutMs: 120_000,
      });
      expect(job.log).toContain(proxy);
    } finally {
      await second.end();
      await another.close();
      gitServer.close();
    }
  });
});
