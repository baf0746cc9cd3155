/** Boots a golden image with a blank data disk and golden user-data, and holds it against its plan. */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Accelerator } from "../build/accelerator.ts";
import { withWorkFolder } from "../build/image.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host.ts";
import type { CheckLevel } from "../plan/check.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { instanceUserData, type Templates } from "../render/tree.ts";
import { shellWord } from "../render/formats/lines.ts";
import { toYaml } from "../render/formats/yaml.ts";
import { type AgentApi, type JobResult, startAgentApi } from "./agent-api.ts";
import { type CheckResult, judge, notChecked, parseReport } from "./results.ts";
import { makeSshKey } from "./ssh.ts";
import { collectTimeline, type Timeline } from "./timeline.ts";
import { bootVm, type Vm } from "./vm.ts";

export interface CheckInput {
  readonly plan: NodePlan;
  readonly templates: Templates;
  readonly bakeId: string;
  readonly image: string;
  readonly accelerator: Accelerator;
  /** GiB of the blank data disk. */
  readonly dataDisk: number;
  /** Existing folder for console.log, journal.log and status.json of the boot. */
  readonly logDir: string;
}

export interface CheckReport {
  readonly results: readonly CheckResult[];
  /** Names under which the agents registered, in order of their index. */
  readonly agents: readonly string[];
  /** What the agent API did not like about the registrations. */
  readonly problems: readonly string[];
  readonly job: JobResult;
  readonly timeline: Timeline;
  /** Seconds from power-on, as seen from outside. */
  readonly seconds: { readonly ssh: number; readonly agents: number; readonly job: number };
}

/** The guest's name for the host's loopback under QEMU's user network. */
const hostFromGuest = "10.0.2.2";

/** Under TCG a boot with four builders takes minutes. */
const bootTimeout = 15 * 60_000;

/** What a first job needs of the node: the Docker client, the daemon and a pre-loaded image. */
const jobCommand = (plan: NodePlan): string => {
  const image = plan.images.find(({ reference }) => reference !== plan.builders.image)?.reference;
  return [
    "set -eu",
    "docker version",
    ...(image === undefined
      ? []
      : [`docker run --rm --network none ${shellWord(image)} sh -c 'echo hello from a container on $(uname -m)'`]),
    'echo "job of $BUILDKITE_AGENT_NAME is done"',
  ].join("\n");
};

/** Saves what the node says about itself; whatever cannot be read is left out. */
const saveLogs = async (vm: Vm, logDir: string): Promise<void> => {
  const keep = async (name: string, command: string): Promise<void> => {
    const result = await vm.ssh(command, { allowFailure: true, timeout: 120_000 }).catch(() => undefined);
    if (result !== undefined) await writeFile(join(logDir, name), result.stdout);
  };
  await keep("journal.log", "journalctl --no-pager -b");
  await keep("status.json", "cat /run/bake/status.json");
};

const validate = async (vm: Vm, level: CheckLevel) => {
  const { stdout } = await vm.ssh(
    `HOME=/root /opt/bake/bin/goss --gossfile /opt/bake/checks/${level}.yaml validate --format json --no-color`,
    {
      allowFailure: true,
      timeout: 300_000,
    },
  );
  return parseReport(stdout);
};

/** @throws BakeError BK501–BK510 when the image does not boot, its agents do not register or the job does not run. */
export const checkImage = async (host: Host, input: CheckInput): Promise<CheckReport> =>
  withWorkFolder(host, "check", async (workFolder) => {
    const { plan, templates, logDir } = input;
    await mkdir(logDir, { recursive: true });
    const hostname = `bake-check-${plan.profile}`.toLowerCase().replace(/[^a-z0-9-]+/g, "-");
    const agentToken = randomBytes(24).toString("hex");
    const key = await makeSshKey(host, workFolder);
    const api = await startAgentApi({
      now: host.now,
      expected: {
        token: agentToken,
        spawn: plan.agents.spawn,
        nameTemplate: (index) => plan.agents.nameTemplate.replace("%spawn", String(index)),
        hostname,
        tags: [`queue=${plan.agents.queue}`, `bake-id=${input.bakeId}`],
      },
    });
    try {
      const userData = instanceUserData(plan, templates, {
        agentToken,
        authorizedKeys: [key.publicKey],
        environment: { BUILDKITE_AGENT_ENDPOINT: api.endpoint(hostFromGuest), BAKE_ABSENT: "npu" },
      });
      const started = host.now();
      const since = (): number => (host.now() - started) / 1000;
      const vm = await bootVm(host, {
        image: input.image,
        workDir: workFolder,
        memoryMiB: plan.target.memory,
        cpus: plan.target.cpus,
        accelerator: input.accelerator,
        dataDiskGiB: input.dataDisk,
        userData,
        metaData: toYaml({ "instance-id": `bake-check-${started}`, "local-hostname": hostname }),
        key,
        logDir,
      });
      try {
        return await observe(host, input, vm, api, since);
      } catch (error) {
        await saveLogs(vm, logDir);
        throw error;
      } finally {
        await vm.kill();
      }
    } finally {
      await api.close();
    }
  });

const observe = async (
  host: Host,
  input: CheckInput,
  vm: Vm,
  api: AgentApi,
  since: () => number,
): Promise<CheckReport> => {
  const { plan, logDir } = input;
  const { progress } = host;
  await progress.step("boot-ssh", `boot the image (${input.accelerator.accel}) until ssh answers`, () =>
    vm.waitForSsh(bootTimeout),
  );
  const ssh = since();
  const registrations = await progress.step("boot-agents", `wait for ${plan.agents.spawn} agents`, async () => {
    try {
      return await api.waitForAgents(bootTimeout, host.signal);
    } catch (error) {
      if (!(error instanceof BakeError)) throw error;
      const status = await vm.ssh("journalctl --no-pager -b -o cat -n 40 -u 'bake-*' -u buildkite-agent", {
        allowFailure: true,
        timeout: 60_000,
      });
      throw new BakeError(
        error.code,
        error.message,
        `${error.help ?? ""}\nthe node says:\n${status.stdout}\nlogs: ${logDir}`,
      );
    }
  });
  const agents = since();
  const first = registrations.find(({ request }) => request.name.includes("-1-")) ?? registrations[0];
  const job = await progress.step("job", "run a job on the first agent", () =>
    api.runJob({ agent: first?.name ?? "", command: jobCommand(plan), timeoutMs: 300_000 }, host.signal),
  );
  const jobDone = since();
  const results = await progress.step("goss", `run ${plan.checks.length} checks`, async () => {
    const of = (level: CheckLevel) => plan.checks.filter((check) => check.level === level);
    return [
      ...judge(of("gating"), await validate(vm, "gating")),
      ...judge(of("advisory"), await validate(vm, "advisory")),
      ...notChecked(of("npu"), "no NPU in a VM"),
      ...notChecked(of("site"), "the site's services are not looked for from a VM"),
    ];
  });
  const timeline = await collectTimeline((command) => vm.ssh(command), plan.units);
  await saveLogs(vm, logDir);
  await progress.step("shut-down-vm", "shut the VM down", () => vm.shutdown());
  return {
    results,
    agents: registrations.map(({ name }) => name).toSorted(),
    problems: api.problems(),
    job,
    timeline,
    seconds: { ssh, agents, job: jobDone },
  };
};
