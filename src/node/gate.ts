/** The gate before the agents, and the health timer that repeats it: a node that is not what its plan says takes no jobs. */
import { advisory } from "./check-commands.ts";
import type { Concern, ConcernInput, Page } from "./concern.ts";
import { installRelease } from "./install.ts";

const lookAtIt = ({ name, profile: { agents } }: ConcernInput): string => `## Look at it

By ssh as root, with a key of \`ssh.operatorKeys\` or of the instance's key pair; without either there is only the console, which
shows the status too.

    bake-status                     # ready or not, why, and what it waits for; exit 0 when ready, with agents
    systemctl status 'bake-*' buildkite-agent docker
    journalctl -b -u 'bake-*' -u docker -u buildkite-agent
    curl http://${agents.healthAddress}/    # the running agents

When a node takes no jobs:

1. \`bake-status\`. NOT READY: each failed check says what to do; \`data disk:\` is what bake-storage has to say.
2. It says that no jobs come: \`journalctl -u buildkite-agent -n 50\`. A refused token (\`bake-token\`), or an API that is not reached.
3. Ready and running: look at the queue \`${agents.queue}\` in Buildkite, and at the agents' tags there.
4. To go on all the same: \`bake-override\`, below.

From elsewhere: \`bake check --profile ${name} --host root@node\`, which also makes a support bundle.`;

const changeIt = ({ profile: { agents }, facts: { storage } }: ConcernInput): string => `## Change it

    bake-override 'REASON'          # take jobs all the same, until the next boot; --off takes it back
    bake-token <FILE                # another agent token; the agents restart when their jobs are done
    systemctl stop bake-metadata    # open the metadata service until the agents or the node start again
    systemctl stop buildkite-agent  # waits for running jobs, at most ${agents.stopTimeout} s; the health timer leaves it stopped

An override lasts until the next boot and holds whatever breaks meanwhile: gate and health timer keep nothing off the node any more.
Do not use it while Docker or \`${storage.mount}\` is down: jobs would come, and fail. \`--off\` gives the node back to the health timer.

A token is read from standard input, such as \`ssh root@node bake-token <FILE\`. One node at a time: its agents take no new jobs
until the running ones end. A job longer than ${agents.stopTimeout} s (\`agents.stopTimeout\`) is killed then. It is done when
\`journalctl -u buildkite-agent\` shows the registration; agents that somebody stopped stay stopped.`;

const pageOf = (input: ConcernInput): Page => ({
  chain: [{ text: "bake-ready", order: 70 }],
  boot: [
    {
      text: "`bake-ready` runs the gating checks and writes `/run/bake/status.json`, also to the console. The agents' unit looks at it before\n  it starts, has brought back what can be, and tries again every ten seconds: a node that is not what its plan says takes no jobs.",
      order: 70,
    },
    {
      text: `\`bake-health.timer\` looks again every ${input.profile.checks.interval} s: at what can change at any moment, and each tenth time at everything that jobs wait\n  for. \`bake-repair\` has brought back what can be (images, builders, the key pair, a failed Docker), and jobs go on meanwhile. After\n  two other bad looks in a row the agents stop, when their jobs are done; with the first good one they come back.`,
      order: 820,
    },
  ],
  sections: [
    { text: lookAtIt(input), order: 10 },
    { text: changeIt(input), order: 20 },
  ],
  paths: [
    {
      paths: ["/opt/bake/bin"],
      what: "the node's scripts and goss; `bake-status` and its relatives are on PATH",
      order: 10,
    },
    {
      paths: ["/opt/bake/checks"],
      what: "goss files by level: gating, npu, advisory, site; live for the health timer; `goss.yaml` has them all",
      order: 20,
    },
    { paths: ["/etc/bake/image.json"], what: "bake id, profile, versions", order: 40 },
    { paths: ["/etc/bake/instance.env"], what: "settings of this node alone, from its user-data", order: 50 },
    {
      paths: ["/etc/bake/secrets", "/root/.gitconfig.d/private"],
      what: "secrets, mode 0600, from user-data; in no image and not in `out/`",
      order: 60,
    },
  ],
});

/** What a node says of itself. */
const imageRecord = (
  { name, trial, profile: { docker, buildx, agents } }: ConcernInput,
  bakeId: string | undefined,
): string =>
  `${JSON.stringify(
    {
      profile: name,
      trial,
      bakeId,
      docker: docker.version,
      buildx: buildx.version,
      agent: agents.version,
    },
    null,
    2,
  )}\n`;

export const gate: Concern = {
  name: "gate",
  requirements: (profile, architecture) => [
    { kind: "goss", name: "goss", asked: profile.checks.gossVersion, architecture, path: ["checks", "gossVersion"] },
  ],
  contribute: (input) => ({
    files: [
      {
        path: "/etc/bake/image.json",
        content: (bakeId) => imageRecord(input, bakeId),
        ofBake: true,
        order: 200,
      },
    ],
    units: [
      { name: "bake-ready.service", order: 100 },
      { name: "bake-health.timer", values: { healthInterval: `${input.profile.checks.interval}s` }, order: 130 },
      { name: "bake-health.service", startedByOthers: true, order: 140 },
    ],
    scripts: [
      { name: "bake-ready", order: 60 },
      { name: "bake-gate", order: 70 },
      { name: "bake-health", order: 80 },
      { name: "bake-repair", order: 80 },
      { name: "bake-override", order: 100 },
      { name: "bake-status", order: 110 },
    ],
    installs: installRelease(input.locked, "goss"),
    checks: [
      advisory(
        { id: "bake-health-timer", rows: ["G10"], title: "the health timer looks at the node again and again" },
        ["service", "bake-health-timer", { name: "bake-health.timer", enabled: true, running: true }],
      ),
    ],
    page: pageOf(input),
    needsLock: [{ what: "node/etc/bake/image.json", order: 40 }],
  }),
};
