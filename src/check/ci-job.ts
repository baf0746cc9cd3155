/** What CI does on an agent, in small: a job that builds, runs and cleans up with what that agent owns (run-npu-test.sh). */
import type { NodePlan } from "../plan/node-plan.ts";
import { sharedNpuDevices } from "../node/npus/facts.ts";
import { metadataAddress } from "../node/target.ts";
import { shellWord } from "../formats/shell.ts";
import { checkedOutFile, checkoutCommit } from "./checkout/repository.ts";

export type PlannedAgent = NodePlan["facts"]["agents"]["each"][number];

/** Printed by the job when a step of it held, so that a reader of its log can tell how far it came. */
const milestones = ["checked-out", "images-ran", "built", "cached", "ran", "metadata-closed", "cleaned-up"] as const;

/** The line of a job's log that says so. Pure. */
export const milestone = (name: (typeof milestones)[number]): string => `milestone ${name}`;

/** How many steps of the second build, of a fresh builder, came out of the agent's cache, by the job's log. Pure. */
export const cachedSteps = (log: string): number => {
  const lines = log.split("\n").map((text) => text.trimEnd());
  return lines.slice(lines.indexOf(milestone("built"))).filter((text) => /^#\d+ CACHED/.test(text)).length;
};

/** Every device that the agent's jobs get, as absolute paths. Pure. */
export const devicesOf = (agent: PlannedAgent): string[] => [...agent.devices, ...sharedNpuDevices];

/** Whether this agent's job looks from containers for the metadata service. One is enough: a route of the host closes it. */
const asksMetadata = ({ facts }: NodePlan, { index }: PlannedAgent): boolean => facts.metadataClosed && index === 1;

/** Whether this agent's job is in a checkout of `checkoutCommit`, as CI's are. One is enough: the agents share git's rules. */
export const checksOut = ({ index }: PlannedAgent): boolean => index === 1;

/**
 * Images of which this agent's job runs a container: all of the profile's but the builders', which each job builds from. One agent is
 * enough: they share Docker's store.
 */
const imagesToRun = ({ facts: { images, builders } }: NodePlan, { index }: PlannedAgent): string[] =>
  index === 1 ? images.map(({ reference }) => reference).filter((reference) => reference !== builders.image) : [];

/**
 * Shell lines that run a container of each image, or end with 1. Pure.
 * That an image's ID is right says what Docker noted of it; a program that starts says that its layers are there, whole, and of
 * this processor. An image without `true`, such as one that holds files alone, has a container made and no more.
 */
export const runImages = (references: readonly string[]): string[] => [
  "run_image() {",
  "  local said status=0 made",
  '  said=$(docker run --rm --pull never --network none --entrypoint true "$1" 2>&1) || status=$?',
  "  case $status:$said in",
  '    0:*) echo "a container of $1 ran" ;;',
  // A program without its loader ends with 127, too.
  '    127:*"executable file not found"*)',
  '      made=$(docker create --pull never --network none "$1" true) && docker rm "$made" >/dev/null || return 1',
  '      echo "a container of $1 could be made; it has no program named true"',
  "      ;;",
  '    *) echo "no container of $1 runs (exit $status): $said"; return 1 ;;',
  "  esac",
  "}",
  ...references.map((reference) => `run_image ${shellWord(reference)}`),
];

/**
 * A command that prints what the metadata service answers a container. Pure.
 * @param network One of Docker's, such as `bridge`.
 */
export const askFromContainer = ({ facts: { builders } }: NodePlan, network: string): string =>
  `docker run --rm --network ${network} --entrypoint busybox ${shellWord(builders.image)} wget -q -T 5 -O - http://${metadataAddress}/`;

/**
 * The job for one agent, as lines for bash. Pure.
 * It derives builder, cache and devices from the agent's name, as CI's script does, and compares them with the plan.
 * What it builds is the shell of the BuildKit image, which every node has, whatever its images are.
 * All agents name their image alike but for EPOCHSECONDS, as CI's script does for one commit.
 */
export const ciJob = (plan: NodePlan, agent: PlannedAgent): string => {
  const images = imagesToRun(plan, agent);
  const closed = plan.facts.metadataClosed;
  return [
    "set -euo pipefail",
    ...(checksOut(agent)
      ? [
          `[ "$(git rev-parse HEAD)" = ${checkoutCommit} ]`,
          `[ "$(cat ${checkedOutFile.name})" = ${shellWord(checkedOutFile.content.trimEnd())} ]`,
          `echo "${milestone("checked-out")}"`,
        ]
      : []),
    // The same two numbers as CI's script takes from the name.
    "[[ $BUILDKITE_AGENT_NAME =~ ([0-9]+)-([0-9]+)cards$ ]]",
    "index=${BASH_REMATCH[1]} cards=${BASH_REMATCH[2]}",
    `[ "$index" = ${agent.index} ]`,
    "builder=cachebuilder$index",
    `cache=${shellWord(plan.facts.storage.mount)}/docker-cache$index`,
    `models=${shellWord(plan.facts.storage.mount)}/modelscope$index hf=${shellWord(plan.facts.storage.mount)}/hf_cache$index`,
    `[ "$builder" = ${shellWord(agent.builder)} ] && [ "$cache" = ${shellWord(agent.dockerCache)} ]`,
    `[ "$models" = ${shellWord(agent.modelCache)} ] && [ "$hf" = ${shellWord(agent.hfCache)} ]`,
    "devices=()",
    "for ((card = (index - 1) * cards; card < index * cards; card++)); do devices+=(--device /dev/davinci$card); done",
    `for device in ${sharedNpuDevices.join(" ")}; do devices+=(--device $device); done`,
    ...(images.length > 0 ? [...runImages(images), `echo "${milestone("images-ran")}"`] : []),
    // Not below the cache: mktemp's name differs each time, the context's content does not.
    "work=$(mktemp -d)",
    // As bash 4.4 has it, which knows it from the environment alone; later ones replace it by the time.
    "epoch=$(tr '\\0' '\\n' </proc/$$/environ | sed -n 's/^EPOCHSECONDS=//p')",
    '[[ $epoch =~ ^[0-9]+$ ]] || { echo "EPOCHSECONDS is not in the environment of jobs: the hook of the agents sets it"; exit 1; }',
    `tag=bake-check/ci:${checkoutCommit}_$epoch`,
    'if docker image inspect "$tag" >/dev/null 2>&1; then echo "another job has an image of the name $tag"; exit 1; fi',
    `image=${shellWord(plan.facts.builders.image)}`,
    "container=export-$BUILDKITE_JOB_ID",
    "tidy() { docker rm -f $container >/dev/null 2>&1 || true; docker image rm -f $tag >/dev/null 2>&1 || true; rm -rf $work; }",
    "trap tidy EXIT",
    'mkdir -p "$cache" "$work/rootfs"',
    "docker create --name $container $image true >/dev/null",
    "docker cp --quiet $container:/bin $work/rootfs/",
    // What the shell is linked against; a static one has none.
    "docker cp --quiet $container:/lib $work/rootfs/ 2>/dev/null || true",
    "docker rm -f $container >/dev/null",
    `cat >$work/Dockerfile <<'DOCKERFILE'`,
    "FROM scratch",
    "COPY rootfs/ /",
    // The build fails when something answers.
    `RUN echo "built on $(uname -m)" >/built${closed ? ` && ! busybox wget -q -T 5 -O /answer http://${metadataAddress}/` : ""}`,
    "DOCKERFILE",
    "build() { docker buildx build --builder $builder --progress plain --cache-from type=local,src=$cache --cache-to type=local,dest=$cache,mode=max --load --tag $tag $work 2>&1; }",
    "build",
    `echo "${milestone("built")}"`,
    // A fresh builder: only the agent's own cache is left.
    "docker buildx prune --builder $builder --all --force >/dev/null",
    // As after a plugin that logs in to a registry: with a configuration of the job's own.
    "mkdir $work/config",
    "DOCKER_CONFIG=$work/config build >$work/second.log || { cat $work/second.log; exit 1; }",
    "grep CACHED $work/second.log",
    '[ "$(grep -c CACHED $work/second.log)" -ge 2 ]',
    `echo "${milestone("cached")}"`,
    // Docker makes the folders that are not there; jobs write into them.
    'mounts=(-v "$models:/root/.cache/modelscope" -v "$hf:/root/.cache/huggingface")',
    'ran=$(docker run --rm --network none "${mounts[@]}" "${devices[@]}" $tag sh -c "for cache in /root/.cache/*; do touch \\$cache/check && rm \\$cache/check || exit 1; done; cat /built; ls /dev")',
    'grep "^built on " <<<"$ran"',
    `[ "$(grep -c '^davinci[0-9]' <<<"$ran")" = "$cards" ]`,
    `echo "${milestone("ran")}"`,
    ...(asksMetadata(plan, agent)
      ? [
          ...["bridge", "host"].map(
            (network) =>
              `if ${askFromContainer(plan, network)}; then echo "the metadata service answered a container on network ${network}"; exit 1; fi`,
          ),
          `echo "${milestone("metadata-closed")}"`,
        ]
      : []),
    "docker image rm -f $tag >/dev/null",
    // Docker refuses a second prune while another agent's is at work.
    "until pruned=$(docker system prune -f 2>&1); do",
    `  case $pruned in *"already running"*) sleep 1 ;; *) echo "$pruned"; exit 1 ;; esac`,
    "done",
    'echo "$pruned"',
    "trap - EXIT",
    "rm -rf $work",
    `echo "${milestone("cleaned-up")}"`,
  ].join("\n");
};

/** Milestones that the log of the agent's job does not show, in their order. Pure. */
export const missedMilestones = (plan: NodePlan, agent: PlannedAgent, log: string): string[] => {
  const shown = new Set(log.split("\n").map((line) => line.trimEnd()));
  // Those that not every agent's job comes by.
  const asked: Readonly<Record<string, boolean>> = {
    "checked-out": checksOut(agent),
    "images-ran": imagesToRun(plan, agent).length > 0,
    "metadata-closed": asksMetadata(plan, agent),
  };
  return milestones.filter((name) => (asked[name] ?? true) && !shown.has(milestone(name)));
};
