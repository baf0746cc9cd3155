/** What CI does on an agent, in small: a job that builds, runs and cleans up with what that agent owns (run-npu-test.sh). */
import type { NodePlan } from "../plan/node-plan.ts";
import { npuDevices } from "../plan/checks.ts";
import { metadataAddress } from "../plan/network.ts";
import { shellWord } from "../shell.ts";

export type PlannedAgent = NodePlan["agents"]["each"][number];

/** Printed by the job when a step of it held, so that a reader of its log can tell how far it came. */
const milestones = ["built", "cached", "ran", "metadata-closed", "cleaned-up"] as const;

/** Every device that the agent's jobs get. */
export const devicesOf = (agent: PlannedAgent): string[] => [...agent.devices, ...npuDevices];

/**
 * The job for one agent. It derives builder, cache and devices from the agent's name, as CI's script does, and compares
 * them with the plan. Without a pre-loaded image to take a root file system from, it builds nothing.
 * @throws RangeError when the profile names no image besides the builders'.
 */
export const ciJob = (plan: NodePlan, agent: PlannedAgent): string => {
  const image = plan.images.find(({ reference }) => reference !== plan.builders.image)?.reference;
  if (image === undefined) throw new RangeError("a CI job needs a pre-loaded image");
  const closed = plan.network.metadata.closed;
  return [
    "set -euo pipefail",
    // The same two numbers as CI's script takes from the name.
    "[[ $BUILDKITE_AGENT_NAME =~ ([0-9]+)-([0-9]+)cards$ ]]",
    "index=${BASH_REMATCH[1]} cards=${BASH_REMATCH[2]}",
    `[ "$index" = ${agent.index} ]`,
    "builder=cachebuilder$index",
    `cache=${shellWord(plan.storage.mount)}/docker-cache$index`,
    `[ "$builder" = ${shellWord(agent.builder)} ] && [ "$cache" = ${shellWord(agent.dockerCache)} ]`,
    "devices=()",
    "for ((card = (index - 1) * cards; card < index * cards; card++)); do devices+=(--device /dev/davinci$card); done",
    `for device in ${npuDevices.join(" ")}; do devices+=(--device $device); done`,
    // Not below the cache: mktemp's name differs each time, the context's content does not.
    "work=$(mktemp -d)",
    "tag=bake-check/agent-$index:$BUILDKITE_JOB_ID",
    `image=${shellWord(image)}`,
    "tidy() { docker rm -f export-$index >/dev/null 2>&1 || true; docker image rm -f $tag >/dev/null 2>&1 || true; rm -rf $work; }",
    "trap tidy EXIT",
    'mkdir -p "$cache" "$work/rootfs"',
    "docker rm -f export-$index >/dev/null 2>&1 || true",
    "docker create --name export-$index $image true >/dev/null",
    "docker export export-$index | tar x -C $work/rootfs",
    `cat >$work/Dockerfile <<'DOCKERFILE'`,
    "FROM scratch",
    "COPY rootfs/ /",
    'RUN echo "built on $(uname -m)" >/built',
    ...(closed
      ? [
          // Fails the build when something answers.
          `RUN ! busybox wget -q -T 5 -O /answer http://${metadataAddress}/`,
        ]
      : []),
    "DOCKERFILE",
    "build() { docker buildx build --builder $builder --progress plain --cache-from type=local,src=$cache --cache-to type=local,dest=$cache,mode=max --load --tag $tag $work 2>&1; }",
    "build",
    'echo "milestone built"',
    // A fresh builder: only the agent's own cache is left.
    "docker buildx prune --builder $builder --all --force >/dev/null",
    "build >$work/second.log || { cat $work/second.log; exit 1; }",
    "grep CACHED $work/second.log",
    `[ "$(grep -c CACHED $work/second.log)" -ge ${closed ? 3 : 2} ]`,
    'echo "milestone cached"',
    'docker run --rm --network none "${devices[@]}" $tag sh -c "cat /built; ls /dev/davinci*"',
    `[ "$(docker run --rm --network none "\${devices[@]}" $tag sh -c 'ls /dev' | grep -c '^davinci[0-9]')" = "$cards" ]`,
    'echo "milestone ran"',
    ...(closed
      ? [
          "for network in bridge host; do",
          `  if docker run --rm --network $network $image busybox wget -q -T 5 -O - http://${metadataAddress}/; then`,
          '    echo "the metadata service answered a container on network $network"; exit 1',
          "  fi",
          "done",
          'echo "milestone metadata-closed"',
        ]
      : []),
    "docker image rm -f $tag >/dev/null",
    "docker system prune -f",
    'echo "milestone cleaned-up"',
  ].join("\n");
};

/** Milestones that the log does not show. */
export const missedMilestones = (plan: NodePlan, log: string): string[] =>
  milestones.filter(
    (name) =>
      (name !== "metadata-closed" || plan.network.metadata.closed) &&
      !log.split("\n").some((line) => line.trimEnd() === `milestone ${name}`),
  );
