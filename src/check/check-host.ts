/** Validates a running host against a plan, by ssh. Read-only: nothing stays there. Also hosts that were set up by hand. */
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { type Architecture, architectures } from "../artifact.ts";
import { type Check, checkLevels } from "../node/check.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { gossFile } from "../render/goss.ts";
import { type HostOutput, runBatch } from "./on-host.ts";
import { redact } from "./redact.ts";
import {
  askedAgain,
  type CheckResult,
  judge,
  notChecked,
  parseReport,
  unanswered,
  withMoreTime,
  withOutputs,
} from "./results.ts";
import { isAboutBake } from "./rows.ts";
import { explainSshFailure, formatSshTarget, type Ssh, sshCommandLine, type SshTarget } from "../vm/ssh.ts";

export interface HostIdentity {
  readonly hostname: string;
  /** From os-release. */
  readonly os: { readonly id: string; readonly version: string; readonly name: string };
  readonly architecture: string;
  readonly kernel: string;
  readonly systemd: string;
  /** From /etc/bake/image.json; absent on a host that was not baked. */
  readonly baked?: { readonly bakeId: string; readonly profile: string; readonly trial: boolean };
  /** Levels of checks that this node's own user-data says it cannot pass (BAKE_ABSENT). */
  readonly absent: readonly string[];
}

/** How to run things as root on a host. */
export interface RootShell {
  readonly ssh: Ssh;
  /** `bash -s`, through sudo where needed. */
  readonly shell: string;
  readonly script: string;
  /** For messages. */
  readonly name: string;
}

/**
 * Finds out who ssh is there, and how that user becomes root.
 * @param script The text of templates/check/on-host.sh.
 * @throws BakeError BK511 unreachable, BK512 unknown host key, BK513 no key accepted, BK514 neither root nor sudo,
 * BK516 when it runs no commands.
 */
export const openRootShell = async (ssh: Ssh, target: SshTarget, script: string): Promise<RootShell> => {
  const name = formatSshTarget(target);
  const first = await ssh("id -u", { allowFailure: true, timeout: 60_000 });
  const uid = /^\s*(\d+)\s*$/.exec(first.stdout)?.[1];
  if (first.exitCode !== 0 || uid === undefined) {
    if (first.exitCode === 255 || first.exitCode === 128) throw explainSshFailure(target, first.stderr);
    throw new BakeError(
      "BK516",
      `${name} runs no commands by ssh`,
      `id -u said: ${first.stdout}${first.stderr}`.trim(),
    );
  }
  if (uid === "0") return { ssh, shell: "bash -s", script, name };
  const sudo = await ssh("sudo -n true", { allowFailure: true, timeout: 60_000 });
  if (sudo.exitCode !== 0) {
    throw new BakeError(
      "BK514",
      `${name}: user ${uid} is not root and may not use sudo without a password`,
      `The checks read what only root may. Use root@..., or let this user run sudo -n: ${sshCommandLine(target)} sudo -n true\n${sudo.stderr.trim()}`,
    );
  }
  return { ssh, shell: "sudo -n -- bash -s", script, name };
};

/** `KEY=value` lines with or without quotes, as in os-release. */
const setting = (text: string, key: string): string => {
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${key}=`));
  return (
    line
      ?.slice(key.length + 1)
      .trim()
      .replace(/^(["'])(.*)\1$/, "$2") ?? ""
  );
};

const bakedFrom = (json: string): HostIdentity["baked"] => {
  if (json.trim() === "") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    value = {};
  }
  const { bakeId, profile, trial } = value as Record<string, unknown>;
  return {
    bakeId: typeof bakeId === "string" ? bakeId : "",
    profile: typeof profile === "string" ? profile : "",
    trial: trial === true,
  };
};

const identityCommands = {
  "os-release": "cat /etc/os-release",
  architecture: "uname -m",
  kernel: "uname -r",
  hostname: "uname -n",
  systemd: "systemctl --version | head -n 1",
  image: "cat /etc/bake/image.json",
  instance: "grep '^BAKE_ABSENT=' /etc/bake/instance.env",
} as const;

/**
 * What a host is, from what `identityCommands` printed there. Pure. What did not answer is an empty text.
 * @param outputs By the command's name.
 */
export const parseIdentity = (outputs: ReadonlyMap<string, HostOutput>): HostIdentity => {
  const read = (name: keyof typeof identityCommands): string => outputs.get(name)?.stdout ?? "";
  const release = read("os-release");
  const baked = bakedFrom(read("image"));
  return {
    hostname: read("hostname").trim(),
    os: {
      id: setting(release, "ID"),
      version: setting(release, "VERSION_ID"),
      name: setting(release, "PRETTY_NAME") || setting(release, "NAME"),
    },
    architecture: read("architecture").trim(),
    kernel: read("kernel").trim(),
    systemd: /^systemd (\d+)/.exec(read("systemd"))?.[1] ?? "",
    ...(baked !== undefined && { baked }),
    absent: setting(read("instance"), "BAKE_ABSENT")
      .split(/[\s,]+/)
      .filter((word) => word !== ""),
  };
};

/**
 * Asks the host what it is. Reads, and changes nothing.
 * @throws BakeError BK516 when it does not answer to the end.
 */
export const identify = async (shell: RootShell): Promise<HostIdentity> =>
  parseIdentity(
    await runBatch(shell.ssh, shell, {
      commands: Object.entries(identityCommands).map(([name, command]) => ({ name, command, seconds: 10 })),
      deadline: 60,
    }),
  );

/**
 * The architecture whose goss the host can run. Pure.
 * @param name The host's, for messages.
 * @throws BakeError BK515 when there is none, or when the plan's digests are those of the other one.
 */
export const requireArchitecture = (identity: HostIdentity, plan: NodePlan, name: string): Architecture => {
  const known = architectures.find((architecture) => architecture === identity.architecture);
  if (known === undefined) {
    throw new BakeError(
      "BK515",
      `${name} is ${identity.architecture || "of an unknown architecture"}: bake knows ${architectures.join(" and ")}`,
      "uname -m on the host says what it is.",
    );
  }
  if (plan.artifacts !== undefined && known !== plan.target.architecture) {
    throw new BakeError(
      "BK515",
      `${name} is ${known}, and profile ${plan.profile} with its lock is for ${plan.target.architecture}`,
      `Image IDs differ between the two. Take a profile with targets.qemu.architecture: ${known},\nor one without a lock: then image IDs are not compared.`,
    );
  }
  return known;
};

/** Seconds for all checks: each has a time-out of its own, this is for what hangs nevertheless. */
const checksDeadline = 300;

/**
 * Why a check cannot be made on this host. Pure.
 * @returns undefined when it can.
 */
export const cannotCheck = (check: Check, { baked, absent }: HostIdentity): string | undefined => {
  if (absent.includes(check.level)) return `this node's user-data says that it has none (BAKE_ABSENT=${check.level})`;
  if (baked === undefined && isAboutBake(check)) return "this host was not baked";
  return undefined;
};

/** The check as this host is asked. Pure. One that was not baked has neither bake's settings nor its units. */
export const checkForHost = (check: Check, { baked }: Pick<HostIdentity, "baked">): Check => {
  if (baked !== undefined) return check;
  const { help, ...rest } = { ...check, ...check.byHand };
  return help === undefined || /\bbake-/.test(help) ? rest : { ...rest, help };
};

/** What the commands of failed checks print is worth a second run. */
const commandsOf = (results: readonly CheckResult[], checks: readonly Check[]) =>
  results.flatMap(({ check: { id }, outcome }) => {
    const [type, , attributes] = checks.find((check) => check.id === id)?.resource ?? [];
    const exec = attributes?.["exec"];
    return outcome === "failed" && type === "command" && typeof exec === "string"
      ? [{ name: id, command: `{ ${exec}\n} 2>&1`, seconds: 10 }]
      : [];
  });

export interface HostReport {
  readonly results: readonly CheckResult[];
  /** Levels that goss gave no report about, and why; nothing is known about their checks. */
  readonly problems: readonly string[];
}

/** Once more, with four times the time, those that did not come to an end. What comes of it counts. */
const askAgain = async (
  host: Host,
  shell: RootShell,
  goss: string,
  checks: readonly Check[],
  first: readonly CheckResult[],
): Promise<readonly CheckResult[]> => {
  const silent = unanswered(checks, first);
  if (silent.length === 0) return first;
  host.progress.note(`  ${silent.length} checks had no answer in time: asking them once more, with more time`);
  try {
    const files = new Map([["again", gossFile(silent.map(withMoreTime))]]);
    const outputs = await runBatch(shell.ssh, shell, { checks: { goss, files }, deadline: 2 * checksDeadline });
    return askedAgain(first, judge(silent, parseReport(outputs.get("again")?.stdout ?? "")));
  } catch (error) {
    if (!(error instanceof BakeError)) throw error;
    return first;
  }
};

/**
 * Runs the plan's checks on a host.
 * @param goss Path of goss for the host's architecture.
 * @param secrets Values that must not be seen in a report, besides what looks like a secret.
 * @throws BakeError BK516 when the host does not answer to the end.
 */
export const checkHost = async (
  host: Host,
  shell: RootShell,
  {
    plan,
    identity,
    goss,
    secrets = [],
  }: {
    readonly plan: NodePlan;
    readonly identity: HostIdentity;
    readonly goss: string;
    readonly secrets?: readonly string[];
  },
): Promise<HostReport> => {
  const skipped = new Map(
    plan.checks.flatMap((check) => {
      const why = cannotCheck(check, identity);
      return why === undefined ? [] : [[check.id, why] as const];
    }),
  );
  const checks = plan.checks.map((check) => checkForHost(check, identity));
  const wanted = checks.filter(({ id }) => !skipped.has(id));
  const levels = checkLevels.filter((level) => wanted.some((check) => check.level === level));
  const of = (level: string): Check[] => wanted.filter((check) => check.level === level);
  const outputs = await host.progress.step("host-checks", `run ${wanted.length} checks on ${shell.name}`, () =>
    runBatch(shell.ssh, shell, {
      checks: { goss, files: new Map(levels.map((level) => [level, gossFile(of(level))])) },
      deadline: checksDeadline,
    }),
  );
  const problems: string[] = [];
  const judged = levels.flatMap((level) => {
    const output = outputs.get(level);
    try {
      return judge(of(level), parseReport(output?.stdout ?? ""));
    } catch (error) {
      if (!(error instanceof BakeError)) throw error;
      const why =
        output?.status === 124 || output?.status === 137
          ? `goss did not end within ${checksDeadline} s`
          : `goss gave no report (${output?.stderr.trim().split("\n").at(-1) || `exit status ${output?.status ?? "unknown"}`})`;
      problems.push(`${level}: ${why}`);
      return notChecked(of(level), why);
    }
  });
  const again = await askAgain(host, shell, goss, checks, judged);
  const commands = commandsOf(again, checks);
  let printed = new Map<string, HostOutput>();
  if (commands.length > 0) {
    try {
      printed = await runBatch(shell.ssh, shell, { commands, deadline: 60 });
    } catch (error) {
      // What is known already is worth more than what it would add.
      if (!(error instanceof BakeError)) throw error;
      host.progress.note(`  what the failed checks' commands print is not here: ${error.message}`);
    }
  }
  // A process's environment, say, holds its token.
  const explained = withOutputs(again, new Map([...printed].map(([id, { stdout }]) => [id, redact(stdout, secrets)])));
  const byId = new Map(explained.map((result) => [result.check.id, result]));
  return {
    // In the plan's order.
    results: checks.flatMap(
      (check) => byId.get(check.id) ?? notChecked([check], skipped.get(check.id) ?? "goss was not asked"),
    ),
    problems,
  };
};

/**
 * Whether a host was baked from what lies in out/. Pure.
 * @returns "unknown" where one of the two is not there.
 */
export const compareBakeIds = (host: string | undefined, here: string | undefined): "same" | "another" | "unknown" =>
  host === undefined || host === "" || here === undefined ? "unknown" : host === here ? "same" : "another";
