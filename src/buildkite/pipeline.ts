/** A Buildkite pipeline that bakes profiles side by side, verifies, promotes and rolls out. Pure: the same input, the same steps. */
import type { BlockStep, CommandStep, TriggerStep } from "@buildkite/buildkite-sdk";
import { BakeError } from "../errors.ts";
import { shellWord } from "../formats/shell.ts";
import type { RolloutTarget } from "./pipeline-targets.ts";

interface PipelineProfile {
  /** Steps are called after it. */
  readonly name: string;
  /** As `--profile` takes it, from the folder of the checkout. */
  readonly file: string;
  /** Where the bake leaves its record, from there too. */
  readonly record: string;
  readonly architecture: string;
  /** Of its lock as it is now: what the job that verifies is pinned to. */
  readonly bakeId: string;
  /** The queue that its own agents serve. */
  readonly queue: string;
  /** What is rolled out; undefined: nothing is. */
  readonly to: RolloutTarget | undefined;
}

export interface PipelineOptions {
  readonly profiles: readonly PipelineProfile[];
  /** Where the steps run: agents that are not rolled. */
  readonly queue: string;
  /** Slug of a pipeline whose build verifies an image. Without it a job of bake's own does. */
  readonly verifyPipeline?: string;
  /** Flavor of the server that an image is verified on. */
  readonly flavor: string;
  /** Key pair of the cloud: of that server, and of nodes whose kind wants one. */
  readonly keyPair?: string;
  /** IAM user of that key pair, for bare metal. */
  readonly keyUser?: string;
  /** Data disks of that server, as `bake ecs create` takes them. */
  readonly dataDisk?: readonly string[];
  /** Whether that server has NPUs. Default: it has. */
  readonly npus?: boolean;
  /** What the nodes are that are rolled out. Default: servers of ECS. */
  readonly kind?: "ecs" | "lite-server" | "bms";
  /** Nodes of a wave, where nodes are named. */
  readonly wave: number;
  /** Minutes that a wave has to stay ready before the next, where nodes are named. */
  readonly soak: number;
}

export interface PipelineFile {
  readonly steps: readonly (CommandStep | BlockStep | TriggerStep)[];
}

/** Buildkite's soft limits (facts: Buildkite pipeline). */
const most = { matrix: 50, jobs: 500, concurrencyKey: 200 } as const;

/** A server's name has 64 characters, `bake-canary-` and a build's number of eight digits among them. */
const longestName = 43;

/** No shell, no YAML and no interpolation sees anything in these. */
const plainName = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/**
 * A text that Buildkite's interpolation gives back as it is: it reads `$$` as `$`, and a backslash before it as an escape.
 * @throws BakeError BK462 for a backslash before a dollar, which it cannot be told.
 */
export const literally = (text: string): string => {
  if (text.includes("\\$")) {
    throw new BakeError(
      "BK462",
      `${JSON.stringify(text)} cannot be written in a pipeline: Buildkite takes a backslash before a dollar away`,
      "Take another name.",
    );
  }
  return text.replaceAll("$", "$$$$");
};

/** One shell word in which no backslash stands before a dollar. @throws BakeError BK462 */
const word = (text: string): string => {
  if (/[\0\r\n]|\{\{/.test(text)) {
    throw new BakeError(
      "BK462",
      `${JSON.stringify(text)} cannot be written in a pipeline: it has line breaks, or the braces of a matrix`,
      "Take another name.",
    );
  }
  return shellWord(text).replaceAll("\\$", "\\''$");
};

const retriesOf = (...statuses: readonly number[]): NonNullable<CommandStep["retry"]> => ({
  // -1: the agent was lost.
  automatic: [-1, ...statuses].map((status) => ({ exit_status: status, limit: 2 })),
});

const imageKey = (name: string): string => `bake-image-${name}`;

const readImage = (name: string): string => `image="$(buildkite-agent meta-data get ${word(imageKey(name))})"`;

const inWaves = (nodes: readonly string[], size: number): (readonly string[])[] =>
  Array.from({ length: Math.ceil(nodes.length / size) }, (_, at) => nodes.slice(at * size, (at + 1) * size));

/** What the server that verifies has besides its flavor. */
const serverWords = ({ keyPair, dataDisk = [], npus = true }: PipelineOptions): string =>
  [
    ...dataDisk.map((disk) => ` --data-disk ${word(disk)}`),
    ...(keyPair === undefined ? [] : [` --key-pair ${word(keyPair)}`]),
    ...(npus ? [] : [" --no-npus"]),
  ].join("");

/** What nodes of a kind want for their change. */
const kindWords = ({ kind, keyPair, keyUser }: PipelineOptions): string =>
  kind === undefined || kind === "ecs"
    ? ""
    : [
        ` --kind ${kind}`,
        ...(keyPair === undefined ? [] : [` --key-pair ${word(keyPair)}`]),
        ...(keyUser === undefined || kind !== "bms" ? [] : [` --key-user ${word(keyUser)}`]),
      ].join("");

const stepsOf = (profile: PipelineProfile, options: PipelineOptions): PipelineFile["steps"] => {
  const { queue, verifyPipeline, flavor, wave, soak } = options;
  const kind = kindWords(options);
  const { name, file, record, bakeId } = profile;
  const agents = { queue: literally(queue) };
  const named = `--profile ${word(file)}`;
  const commandStep = (
    step: { key: string; label: string; after?: string; commands: readonly string[] } & Pick<CommandStep, "retry">,
  ): CommandStep => ({
    label: literally(step.label),
    key: step.key,
    ...(step.after !== undefined && { depends_on: step.after }),
    agents,
    commands: step.commands.map(literally),
    ...(step.retry !== undefined && { retry: step.retry }),
  });
  const group = `bake-rollout/${name}`;
  const inGroup = (step: CommandStep, concurrency: number): CommandStep => ({
    ...step,
    concurrency,
    concurrency_group: group,
  });

  const bake = commandStep({
    key: `bake-${name}`,
    label: `:package: bake ${name} (${profile.architecture})`,
    commands: [
      `bake image ${named} --target huaweicloud --frozen-lockfile`,
      `image="$(sed -n 's/^  "imageId": "\\([^"]*\\)".*/\\1/p' ${word(record)})"`,
      `test -n "$image"`,
      `buildkite-agent meta-data set ${word(imageKey(name))} "$image"`,
    ],
    // A bake that ran to its end is taken as it is: nothing is made twice.
    retry: retriesOf(130),
  });
  const canary = commandStep({
    key: `canary-${name}`,
    label: `:baby_chick: a server from the image of ${name}`,
    after: `bake-${name}`,
    commands: [
      readImage(name),
      `bake ecs create ${named} --image "$image" --name ${word(`bake-canary-${name}`)}-"$BUILDKITE_BUILD_NUMBER" --flavor ${word(flavor)}${serverWords(options)} --yes`,
    ],
    retry: retriesOf(130),
  });
  const verified = `verify-${name}`;
  const verify: CommandStep | TriggerStep =
    verifyPipeline === undefined
      ? {
          ...commandStep({
            key: verified,
            label: `:white_check_mark: a job on the new image of ${name}`,
            after: `canary-${name}`,
            commands: ['echo "$BUILDKITE_AGENT_NAME takes jobs"', "docker info"],
          }),
          agents: { queue: literally(profile.queue), "bake-id": bakeId },
        }
      : {
          label: literally(`:white_check_mark: jobs on the new image of ${name}`),
          key: verified,
          depends_on: `canary-${name}`,
          trigger: verifyPipeline,
          build: {
            message: literally(`the image of ${name} that build `) + "${BUILDKITE_BUILD_NUMBER} made",
            env: { BAKE_ID: bakeId, BAKE_QUEUE: literally(profile.queue) },
          },
        };
  const approve: BlockStep = {
    block: literally(`:traffic_light: promote ${name}${profile.to === undefined ? "" : ", and roll it out"}?`),
    key: `approve-${name}`,
    depends_on: verified,
    blocked_state: "running" as NonNullable<BlockStep["blocked_state"]>,
  };
  const promote = commandStep({
    key: `promote-${name}`,
    label: `:arrow_up: promote ${name}`,
    after: `approve-${name}`,
    commands: [readImage(name), `bake catalog promote "$image" ${named} --verified --yes`],
    retry: retriesOf(130),
  });
  const steps = [bake, canary, verify, approve, promote];
  if (profile.to === undefined) return steps;
  if ("selector" in profile.to) {
    const key = `rollout-${name}`;
    const run = commandStep({
      key,
      label: `:ocean: roll out ${name}`,
      after: `promote-${name}`,
      commands: [
        readImage(name),
        `rollout=build-"$BUILDKITE_BUILD_NUMBER"-${word(bakeId.slice(0, 10))}`,
        // What an earlier try of this step had begun: its journal says what was done. Others of this checkout are not looked at. Each try
        // left one of the same path: the last that was uploaded goes on from those before it. The agent makes no line end of `\\n` in a format.
        `journal="out/rollouts/$rollout/journal.jsonl"`,
        `found="$(buildkite-agent artifact search "$journal" --step ${word(key)} --include-retried-jobs --allow-empty-results --format '%c %j,')"`,
        `last="$(printf '%s' "$found" | tr , '\\n' | sort | tail -n 1)"`,
        `test -z "$last" || buildkite-agent artifact download "$journal" . --step "\${last##* }" --include-retried-jobs`,
        `bake rollout run ${named}${kind} --rollout "$rollout" --image "$image" --to ${word(profile.to.selector)} --yes`,
      ],
      retry: retriesOf(130),
    });
    return [...steps, { ...inGroup(run, 1), artifact_paths: "out/rollouts/*/journal.jsonl" }];
  }
  const [first = "", ...others] = profile.to.nodes;
  const nodeStep = `bake rollout node {{matrix}} ${named}${kind} --image "$image" --yes`;
  let after = `promote-${name}`;
  for (const [at, nodes] of [[first], ...inWaves(others, wave)].entries()) {
    const part = at === 0 ? "canary" : `wave-${at}`;
    const change = commandStep({
      key: `rollout-${name}-${part}`,
      label: `:ocean: ${name}, ${at === 0 ? "the first node" : `wave ${at}`}: {{matrix}}`,
      after,
      commands: [readImage(name), nodeStep],
      retry: retriesOf(130),
    });
    steps.push({ ...inGroup(change, wave), matrix: [...nodes] });
    const soaked = commandStep({
      key: `soak-${name}-${part}`,
      label: `:hourglass: ${name}, ${at === 0 ? "the first node" : `wave ${at}`}: still ready after ${soak} minutes`,
      after: change.key ?? "",
      commands: [
        readImage(name),
        `sleep ${soak * 60}`,
        // A node that is right costs no call.
        `for node in ${nodes.join(" ")}; do bake rollout node "$node" ${named}${kind} --image "$image" --yes; done`,
      ],
      retry: retriesOf(130),
    });
    steps.push(soaked);
    after = soaked.key ?? "";
  }
  return steps;
};

const jobsOf = (step: PipelineFile["steps"][number]): number =>
  "matrix" in step && Array.isArray(step.matrix) ? step.matrix.length : 1;

const requireLimits = (steps: PipelineFile["steps"]): void => {
  const jobs = steps.reduce((sum, step) => sum + jobsOf(step), 0);
  if (jobs > most.jobs) {
    throw new BakeError(
      "BK460",
      `the pipeline would have ${jobs} jobs: Buildkite takes ${most.jobs} in one upload`,
      "Take fewer profiles in one pipeline, or nodes by a tag (--to TAG=VALUE): then one job rolls all of them out.",
    );
  }
  for (const step of steps) {
    if (jobsOf(step) > most.matrix) {
      throw new BakeError(
        "BK460",
        `a wave has ${jobsOf(step)} nodes: a matrix of Buildkite's has ${most.matrix} at most`,
        `Take --wave ${most.matrix}, or less.`,
      );
    }
    const key = "concurrency_group" in step ? (step.concurrency_group ?? "") : "";
    if (key.length > most.concurrencyKey) {
      throw new BakeError(
        "BK460",
        `the concurrency group ${key} has ${key.length} characters: Buildkite takes ${most.concurrencyKey}`,
        "Take a shorter name of the profile.",
      );
    }
  }
};

/**
 * The pipeline of these profiles.
 * @throws BakeError BK460 beyond Buildkite's limits, BK462 for names that it cannot hold, BK464 for a queue that is rolled.
 */
export const makePipeline = (options: PipelineOptions): PipelineFile => {
  const { profiles, queue, verifyPipeline } = options;
  for (const [what, value] of [
    ["the queue", queue],
    ...(verifyPipeline === undefined ? [] : [["the pipeline", verifyPipeline] as const]),
    ...profiles.map(({ name }) => ["the profile", name] as const),
  ] as const) {
    if (plainName.test(value) && (what !== "the profile" || value.length <= longestName)) continue;
    throw new BakeError(
      "BK462",
      `${what} ${JSON.stringify(value)} cannot be named in a pipeline`,
      `Letters, digits, ".", "_" and "-"; a profile's name is part of a server's: ${longestName} characters at most.`,
    );
  }
  const { kind = "ecs", keyPair, keyUser } = options;
  if (kind !== "ecs" && (keyPair === undefined || (kind === "bms" && keyUser === undefined))) {
    throw new BakeError(
      "BK461",
      `nodes of the kind ${kind} want a key pair${kind === "bms" ? " and its user" : ""} for their change`,
      `Give --key-pair NAME${kind === "bms" ? " --key-user ID" : ""}.`,
    );
  }
  const twice = profiles.find(({ name }, at) => profiles.findIndex((other) => other.name === name) !== at);
  if (twice !== undefined) {
    throw new BakeError(
      "BK462",
      `two profiles are called ${twice.name}`,
      "Their steps would have the same keys: rename one.",
    );
  }
  const rolled = profiles.find((profile) => profile.queue === queue);
  if (rolled !== undefined) {
    throw new BakeError(
      "BK464",
      `${rolled.name}'s own agents serve the queue ${queue}: they would stop themselves in the middle of a rollout`,
      "Take a queue with other agents: one small machine that has bake and the cloud's credentials.",
    );
  }
  const steps = profiles.flatMap((profile) => stepsOf(profile, options));
  requireLimits(steps);
  return { steps };
};
