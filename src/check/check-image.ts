/** Boots a golden image with a blank data disk and golden user-data, and validates it against its plan. */
import { targetOf } from "../targets/index.ts";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import type { Accelerator } from "../vm/accelerator.ts";
import { withWorkFolder } from "../host/work-folder.ts";
import { BakeError } from "../errors.ts";
import { panicsIn } from "../vm/console.ts";
import type { Host } from "../host/host.ts";
import type { Check, CheckLevel } from "../node/check.ts";
import { gossFile } from "../render/goss.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { instanceUserData } from "../render/tree.ts";
import type { Templates } from "../render/templates.ts";
import type { Instance } from "../node/concern.ts";
import { toYaml } from "../formats/yaml.ts";
import { checkoutJob, checkoutResult } from "./checkout/job.ts";
import { type CheckoutSource, checkoutUrls, startCheckoutSource } from "./checkout/source.ts";
import { checksOut, ciJob, devicesOf, missedMilestones } from "./ci-job.ts";
import { nodeSays, saveLogs, withLogs } from "./node-says.ts";
import { type JobOutcome, runJob } from "./job-run.ts";
import { lostConnection, type Pace, patience, slownessNote, timedApart } from "./patience.ts";
import { type AgentApi, startAgentApi } from "./agent-api/server.ts";
import { checkMetadataService } from "./metadata-check.ts";
import { createNullDevices } from "./null-devices.ts";
import {
  askedAgain,
  type CheckResult,
  fromOutside,
  judge,
  notChecked,
  parseReport,
  unanswered,
  withMoreTime,
  worstOfBoots,
} from "./results.ts";
import { makeSshKey, type Ssh } from "../vm/ssh.ts";
import { collectTimeline, type Timeline } from "./timeline.ts";
import { bootVm, type Vm } from "../vm/machine.ts";
import { gib } from "../formats/bytes.ts";

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
  /** Another kind of user-data than the golden one: of a stock image that becomes the node. */
  readonly userDataFor?: (instance: Instance) => string;
  /** One boot, a job for the first agent alone, and nothing that takes the node out of its state. */
  readonly brief?: boolean;
  /** Looks at the node after the checks, or when they did not come to an end. */
  readonly inspect?: (ssh: Ssh) => Promise<void>;
}

/** What was seen of one boot. */
export interface BootReport {
  /** Names under which the agents registered, in order of their index. */
  readonly agents: readonly string[];
  /** One for each agent, in that order; after the reboot, and in a brief check, for the first one alone. */
  readonly jobs: readonly JobOutcome[];
  readonly results: readonly CheckResult[];
  readonly timeline: Timeline;
  /** Seconds from power-on (from the reboot), as seen from outside. */
  readonly seconds: { readonly ssh: number; readonly agents: number; readonly jobs: number };
}

export interface CheckReport {
  /** The first boot, on a blank data disk, and the second, unless there was one alone. */
  readonly boots: readonly BootReport[];
  /** Checks that failed in any boot failed; what was seen from outside the node stands with them. */
  readonly results: readonly CheckResult[];
  /** What the agent API did not like about the registrations. */
  readonly problems: readonly string[];
  /** What the VM's kernel said when it panicked, for each time; the node starts again then. */
  readonly panics: readonly string[];
}

/** The guest's name for the host's loopback under QEMU's user network. */
const hostFromGuest = "10.0.2.2";

/** Lets the agents of this VM reach `address` without the site's HTTP proxy, which is not here. */
const directly = ({ facts: { httpProxy } }: NodePlan, address: string): Record<string, string> => {
  if (httpProxy === undefined) return {};
  const except = [...httpProxy.except, address].join(",");
  return { NO_PROXY: except, no_proxy: except };
};

/**
 * GiB of a blank data disk that this node takes and has room on. Pure. It is sparse: only what is written takes space.
 */
export const dataDiskFor = ({ facts: { storage } }: NodePlan): number =>
  Math.ceil((storage.minBytes + storage.minFreeBytes) / gib) + 4;

/** Runs the checks of a level; those that do not come to an end once more, one at a time and with four times the time. */
const validate = async ({ ssh }: Vm, level: CheckLevel, checks: readonly Check[]): Promise<CheckResult[]> => {
  const goss = (file: string, atOnce: number): string =>
    `HOME=/root /opt/bake/bin/goss --gossfile ${file} validate --max-concurrent ${atOnce} --format json --no-color`;
  const { stdout } = await ssh(goss(`/opt/bake/checks/${level}.yaml`, 4), { allowFailure: true, timeout: 600_000 });
  const first = judge(checks, parseReport(stdout));
  const silent = unanswered(checks, first);
  if (silent.length === 0) return first;
  const again = await ssh(goss("-", 1), {
    allowFailure: true,
    timeout: 900_000,
    input: gossFile(silent.map(withMoreTime)),
  });
  return askedAgain(first, judge(silent, parseReport(again.stdout)));
};

/**
 * Boots a copy-on-write overlay of the image, lets its agents run jobs, and validates the node; the image is not
 * written to.
 * @throws BakeError BK501–BK510 when the image does not boot, its agents do not register or the job does not run.
 */
export const checkImage = async (host: Host, input: CheckInput): Promise<CheckReport> =>
  withWorkFolder(host, "check", async (workFolder) => {
    const { plan, templates, logDir } = input;
    await makeFolder(logDir);
    const hostname = `bake-check-${plan.profile}`.toLowerCase().replace(/[^a-z0-9-]+/g, "-");
    const agentToken = randomBytes(24).toString("hex");
    const key = await makeSshKey(host, workFolder);
    const api = await startAgentApi({
      now: host.now,
      expected: {
        token: agentToken,
        spawn: plan.facts.agents.spawn,
        nameTemplate: (index) => plan.facts.agents.nameTemplate.replace("%spawn", String(index)),
        hostname,
        tags: [`queue=${plan.facts.agents.queue}`, `bake-id=${input.bakeId}`],
      },
    });
    const source = await startCheckoutSource(checkoutUrls(plan).rewritten).catch(async (error: unknown) => {
      await api.close();
      throw error;
    });
    try {
      // Secrets of its own: those of the profile are for real nodes.
      const userDataFor = input.userDataFor ?? ((instance: Instance) => instanceUserData(plan, templates, instance));
      const userData = userDataFor({
        agentToken,
        gitToken: randomBytes(24).toString("hex"),
        proxyCredentials: `bake-check:${randomBytes(12).toString("hex")}`,
        ...(plan.facts.nodeKey === "delivered" && { nodeKey: await readFile(key.privateKeyFile, "utf8") }),
        authorizedKeys: [key.publicKey],
        environment: {
          BUILDKITE_AGENT_ENDPOINT: api.endpoint(hostFromGuest),
          BAKE_ABSENT: "npu",
          ...directly(plan, hostFromGuest),
        },
      });
      const started = host.now();
      const since = (): number => (host.now() - started) / 1000;
      const vm = await bootVm(host, {
        image: input.image,
        workDir: workFolder,
        ...targetOf(plan.target).vmSize(plan.target),
        accelerator: input.accelerator,
        dataDiskGiB: input.dataDisk,
        metadata: "what this instance was given\n",
        userData,
        metaData: toYaml({ "instance-id": `bake-check-${started}`, "local-hostname": hostname }),
        key,
        logDir,
      });
      try {
        return await observe(timedApart(host, input.accelerator.architecture), input, vm, { api, source }, since);
      } catch (error) {
        await saveLogs(vm.ssh, logDir);
        await input.inspect?.(vm.ssh).catch(() => undefined);
        throw withLogs(error, logDir);
      } finally {
        await vm.kill();
      }
    } finally {
      await api.close();
      await source.close();
    }
  });

/** What runs on this host for the node. */
interface Services {
  readonly api: AgentApi;
  readonly source: CheckoutSource;
}

/** What a step took last time, for `Pace`. */
const lastOf = ({ progress }: Host, id: string): { readonly last?: number } => {
  const last = progress.lastTime?.(id);
  return last === undefined ? {} : { last };
};

/**
 * Waits for the agents, gives jobs like CI's, and validates the node against its plan. After the first boot each agent has a
 * job; after the reboot the first one alone, whose job looks for the metadata service from containers, too.
 */
const observeBoot = async (
  host: Host,
  { plan, logDir, brief = false }: CheckInput,
  vm: Vm,
  { api, source }: Services,
  {
    ssh,
    since,
    name,
    pace,
  }: { readonly ssh: number; readonly since: () => number; readonly name: string; readonly pace: Pace },
): Promise<BootReport> => {
  const { progress } = host;
  const { agents } = plan.facts;
  const step = (id: string): string => (name === "first" ? id : `${name}-${id}`);
  const timeout = (id: string): number => patience({ ...pace, ...lastOf(host, step(id)) });
  const registrations = await progress.step(step("boot-agents"), `wait for ${agents.spawn} agents`, async () => {
    try {
      return await api.waitForAgents(timeout("boot-agents"), host.signal);
    } catch (error) {
      if (!(error instanceof BakeError)) throw error;
      const said = await nodeSays(vm.ssh, vm.consoleLog);
      throw new BakeError(error.code, error.message, `${error.help ?? ""}\nthe node says:\n${said}`);
    }
  });
  const registered = since();
  const timeline = await collectTimeline(
    (command) => vm.ssh(command),
    plan.units.map((unit) => unit.name),
  );
  const ordered = agents.each.map(({ index }) => registrations.find((one) => one.index === index)?.name ?? "");
  const removeDevices = await createNullDevices(vm.ssh, agents.each.flatMap(devicesOf));
  const working = brief || name === "second" ? agents.each.slice(0, 1) : agents.each;
  const jobs = await progress.step(
    step("jobs"),
    working.length === 1 ? "run a build on the first agent" : `run a build on each of ${working.length} agents`,
    () =>
      Promise.all(
        working.map(async (agent, position) => {
          const job = {
            agent: ordered[position] ?? "",
            command: ciJob(plan, agent),
            timeoutMs: timeout("jobs"),
            ...(checksOut(agent) && checkoutJob(plan, source, hostFromGuest)),
          };
          return runJob(api, {
            job,
            logFile: join(logDir, `job-${agent.index}-${name}.log`),
            onSecond: (why) =>
              progress.note(`  agent ${agent.index} could not reach its builder (${why}): its job runs once more`),
            signal: host.signal,
          });
        }),
      ),
  );
  await removeDevices();
  const jobsDone = since();
  const results = await progress.step(step("goss"), `run ${plan.checks.length} checks`, async () => {
    const of = (level: CheckLevel) => plan.checks.filter((check) => check.level === level);
    return [
      ...(await validate(vm, "gating", of("gating"))),
      ...(await validate(vm, "advisory", of("advisory"))),
      ...notChecked(of("npu"), "no NPU in a VM"),
      ...notChecked(of("site"), "the site's services are not looked for from a VM"),
    ];
  });
  const boot = name === "first" ? "on a blank disk" : "after a reboot";
  return {
    agents: ordered,
    jobs,
    timeline,
    seconds: { ssh, agents: registered, jobs: jobsDone },
    results: [
      ...results,
      // waitForAgents came back: all of them were there, under these names.
      fromOutside(`vm-agents-${name}`, ["G2", "G5", "G9"], `${agents.spawn} agents registered ${boot}`, []),
      ...working.flatMap((agent, position) => {
        const { log = "" } = jobs[position] ?? {};
        return checksOut(agent) ? [checkoutResult(plan, { log, source, name, boot })] : [];
      }),
      ...working.map((agent, position) => {
        const { exitStatus, log } = jobs[position] ?? { exitStatus: -1, log: "" };
        const missed = missedMilestones(plan, agent, log);
        const lost = exitStatus === 0 ? undefined : lostConnection(log);
        return fromOutside(
          `vm-job-${agent.index}-${name}`,
          ["G5", "G22", "G24", "G27"],
          `agent ${agent.index} built, found its cache, ran with its devices and cleaned up, ${boot}`,
          [
            ...(exitStatus === 0 ? [] : [`exit ${exitStatus}`]),
            ...(missed.length === 0 ? [] : [`did not get to: ${missed.join(", ")}`]),
          ],
          lost === undefined ? undefined : `its builder could not be reached, twice: ${lost}`,
        );
      }),
    ],
  };
};

const observe = async (
  host: Host,
  input: CheckInput,
  vm: Vm,
  services: Services,
  since: () => number,
): Promise<CheckReport> => {
  const { plan, logDir } = input;
  const { progress } = host;
  const { last: lastBoot } = lastOf(host, "boot-ssh");
  const before = lastBoot === undefined ? {} : { lastBoot };
  const boot = await progress.step("boot-ssh", `boot the image (${input.accelerator.accel}) until ssh answers`, () =>
    vm.waitForSsh(patience(before)),
  );
  const pace = { ...before, boot };
  const slow = slownessNote(pace);
  if (slow !== undefined) progress.note(slow);
  const first = await observeBoot(host, input, vm, services, { ssh: since(), since, name: "first", pace });
  const metadata = input.brief === true ? [] : await checkMetadataService(vm.ssh, plan);
  await saveLogs(vm.ssh, logDir);
  const boots = [first];
  if (input.brief !== true) {
    const rebooted = host.now();
    const sinceReboot = (): number => (host.now() - rebooted) / 1000;
    await progress.step("reboot", "reboot until ssh answers", () => vm.reboot(patience(pace)));
    boots.push(
      await observeBoot(host, input, vm, services, { ssh: sinceReboot(), since: sinceReboot, name: "second", pace }),
    );
    await saveLogs(vm.ssh, logDir);
  }
  await input.inspect?.(vm.ssh);
  await progress.step("shut-down-vm", "shut the VM down", () => vm.shutdown());
  const panics = panicsIn(await readFile(vm.consoleLog, "utf8"));
  return {
    boots,
    results: [
      ...worstOfBoots(boots.map(({ results }) => results)),
      ...metadata,
      // Emulation has panics of its own making: they are told, and are no fault of the image.
      ...(input.accelerator.accel === "tcg"
        ? []
        : [fromOutside("vm-kernel", ["G1"], "the kernel did not panic", panics)]),
    ],
    problems: services.api.problems(),
    panics,
  };
};
