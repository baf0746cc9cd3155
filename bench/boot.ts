/**
 * How long a golden image boots until its agents are registered, over its base's own boot: the same disk, memory, processors
 * and accelerator. First boot on a blank data disk, then a reboot. Run it by `bin/bench boot`; takes minutes.
 */
import { targetOf } from "../src/targets/index.ts";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { startAgentApi } from "../src/check/agent-api/server.ts";
import { makeSshKey } from "../src/vm/ssh.ts";
import { collectTimeline, formatTimeline } from "../src/check/timeline.ts";
import { bootVm } from "../src/vm/machine.ts";
import { chooseAccelerator } from "../src/vm/accelerator.ts";
import { storePath } from "../src/store/store.ts";
import { cache, goldenImage, startVm, testHost } from "../test/vm/golden-image.ts";

const host = testHost();
const timeout = 15 * 60_000;

interface Boot {
  readonly first: number;
  readonly second: number;
}

/** Until ssh answers and systemd has nothing left to start. */
const bootBase = async (base: string): Promise<Boot> => {
  const folder = await mkdtemp(join(cache, "work/bench-"));
  try {
    const key = await makeSshKey(host, folder);
    const vm = await bootVm(host, {
      image: base,
      workDir: folder,
      logDir: folder,
      ...targetOf(golden.plan.target).vmSize(golden.plan.target),
      accelerator: await chooseAccelerator({ host, architecture: golden.plan.target.architecture, image: base }),
      dataDiskGiB: 8,
      userData: `#cloud-config\n${JSON.stringify({ users: [{ name: "root", ssh_authorized_keys: [key.publicKey] }], disable_root: false })}\n`,
      metaData: JSON.stringify({ "instance-id": "bench", "local-hostname": "bench" }),
      key,
    });
    const up = async (): Promise<void> => {
      await vm.ssh("systemctl is-system-running --wait", { allowFailure: true, timeout });
    };
    try {
      const started = host.now();
      await vm.waitForSsh(timeout);
      await up();
      const first = (host.now() - started) / 1000;
      const again = host.now();
      await vm.reboot(timeout);
      await up();
      return { first, second: (host.now() - again) / 1000 };
    } finally {
      await vm.kill();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

const bootGolden = async (): Promise<Boot & { readonly timelines: readonly string[] }> => {
  const { plan } = golden;
  const api = await startAgentApi({
    now: host.now,
    expected: {
      token: "bench",
      spawn: plan.facts.agents.spawn,
      nameTemplate: (index) => plan.facts.agents.nameTemplate.replace("%spawn", String(index)),
      hostname: "bake-test",
      tags: [],
    },
  });
  const started = host.now();
  const { vm, end } = await startVm(host, golden, {
    dataDiskGiB: 8,
    instance: {
      agentToken: "bench",
      environment: { BUILDKITE_AGENT_ENDPOINT: api.endpoint("10.0.2.2"), BAKE_ABSENT: "npu" },
    },
  });
  const timeline = async (): Promise<string> =>
    formatTimeline(
      await collectTimeline(
        (command) => vm.ssh(command),
        plan.units.map((unit) => unit.name),
      ),
    );
  try {
    await api.waitForAgents(timeout);
    const first = (host.now() - started) / 1000;
    const timelines = [await timeline()];
    const again = host.now();
    await vm.reboot(timeout);
    await api.waitForAgents(timeout);
    const second = (host.now() - again) / 1000;
    return { first, second, timelines: [...timelines, await timeline()] };
  } finally {
    await end();
    await api.close();
  }
};

const golden = await goldenImage();
const record = JSON.parse(readFileSync(join(golden.folder, "image.json"), "utf8")) as { base: { sha256: string } };
const base = await bootBase(join(cache, "store", storePath(record.base.sha256)));
const baked = await bootGolden();
console.log(`
                          base, up   golden, ${golden.plan.facts.agents.spawn} agents   ratio
  first boot, blank disk  ${base.first.toFixed(1).padStart(7)} s   ${baked.first.toFixed(1).padStart(13)} s   ${(baked.first / base.first).toFixed(2).padStart(5)}
  after a reboot          ${base.second.toFixed(1).padStart(7)} s   ${baked.second.toFixed(1).padStart(13)} s   ${(baked.second / base.second).toFixed(2).padStart(5)}
`);
for (const [position, timeline] of baked.timelines.entries()) {
  console.log(`golden, ${position === 0 ? "first boot" : "after a reboot"}\n${timeline}\n`);
}
