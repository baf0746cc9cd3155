/** node.md: what a node of this profile is held to, by guide row. */
import { guideRows, mistakes, notProven } from "../plan/guide.ts";
import { metadataAddress } from "../plan/network.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { cell } from "./allowlist.ts";

const levels: Readonly<Record<string, string>> = {
  gating: "gating",
  npu: "gating; a VM without NPUs leaves it out",
  advisory: "advisory",
  site: "advisory; needs the site's network",
};

/** As systemd escapes a path: `/mnt/data-1` is mounted by `mnt-data\\x2d1.mount`. */
const storageMountUnit = (mount: string): string =>
  `'${mount.slice(1).replaceAll("-", "\\x2d").replaceAll("/", "-")}.mount'`;

export const nodePage = ({
  profile,
  checks,
  units,
  storage,
  docker,
  agents,
  builders,
  healthInterval,
}: NodePlan): string => {
  const byRow = guideRows.map(({ row, subject }) => {
    const own = checks.filter(({ rows }) => rows.includes(row));
    const lines = own.map(
      ({ id, title, level, live, help }) =>
        `| \`${cell(id)}\` | ${cell(title)} | ${levels[level]}${live === true ? "; looked at again and again" : ""} | ${cell(help ?? "")} |\n`,
    );
    const why = notProven[row];
    return `### ${row}: ${subject}\n\n${why === undefined ? "" : `Not proven in a VM: ${why}.\n\n`}${
      lines.length === 0
        ? ""
        : `| check | what holds | level | when it does not |\n|---|---|---|---|\n${lines.join("")}\n`
    }`;
  });
  return `# A node of profile ${profile}

Made by \`bake render\` from the profile's checks. Rows are those of the manual guide that bake replaces. *Gating* checks keep a
node from jobs; *advisory* ones are reported.

| | |
|---|---|
| agents | ${agents.spawn}, named \`${cell(agents.nameTemplate)}\`, queue \`${cell(agents.queue)}\` |
| Docker | ${docker.version}, data in \`${docker.dataRoot}\` |
| builders | ${builders.names.join(", ")} from \`${cell(builders.image)}\` |
| data disk | \`${cell(storage.source)}\` (${storage.filesystem}) at \`${storage.mount}\` |
| units, in order | ${units.join(", ")} |

## Boot

Units order the boot; nothing sleeps.

    bake-first-boot, bake-storage -> ${storage.mount} -> containerd -> docker -> bake-images -> bake-builders -> bake-ready -> buildkite-agent

- \`bake-storage\` ${
    storage.kind === "adopt"
      ? `waits for ${storage.source}, which exists already, and never formats anything.`
      : `looks for the file system with the fleet's UUID. If there is none it makes one on ${
          { only: "the single blank disk", first: "the first blank disk", largest: "the largest blank disk" }[
            storage.pick
          ]
        }: no partition, no signature, not in use. It writes down what it is about to do before it does it, so that a file system cut off half-way is recognised and made again.`
  } With any doubt it says why, formats nothing, and Docker does not start.
- \`${storage.mount}\` is mounted \`nofail\`, so that a host with a broken disk can be reached; Docker requires the mount, so that
  it never fills the system disk.
- \`bake-first-boot\` runs before cloud-init. A first boot whose power went before user-data's files were on the disk (cloud-init
  counts them as written earlier) is done again by cloud-init, whole; \`bake-first-boot-done\` brings them to the disk and marks that.
- \`bake-identity\` puts the node's key pair in place; it is kept on the data disk, in \`${storage.stateFolder}\`.
- \`bake-images\` loads the images that the lock names and compares their image IDs. One whose loading was cut off by the power is
  compared layer by layer, and loaded again when it is not whole.
- \`bake-builders\` makes the builders that are not there, and those anew whose image or configuration changed; their caches stay.
  Their image is the pre-loaded one under a name that no registry has, \`${builders.localImage}\`, since buildx pulls what it can.
- \`bake-ready\` runs the gating checks and writes \`/run/bake/status.json\`, also to the console. The agents' unit looks at it before
  it starts and tries again every ten seconds: a node that is not what its plan says takes no jobs.
- A kernel that panics starts again after ten seconds (\`kernel.panic\`); the node comes back by itself, as after a power cut.
- \`bake-metadata\` closes ${metadataAddress} to everything on the node until the next boot, when the checks were made.
- \`bake-health.timer\` repeats the checks of what can change every ${healthInterval} s. After two bad looks in a row the agents stop,
  when their jobs are done; with the first good one they come back. A Docker that failed is started again, and so is a builder that
  does not run.

## Look at it

By ssh as root, with a key of \`ssh.operatorKeys\` or of the instance's key pair; without either there is only the console, which
shows the status too.

    bake-status                     # ready or not, why, and what it waits for; exit 0 when ready, with agents
    systemctl status 'bake-*' buildkite-agent docker
    journalctl -b -u 'bake-*' -u docker -u buildkite-agent
    curl http://${agents.healthAddress}/    # the running agents

When a node takes no jobs:

1. \`bake-status\`. NOT READY: each failed check says what to do; \`data disk:\` is what bake-storage has to say.
2. It says that no jobs come: \`journalctl -u buildkite-agent -n 50\`. A refused token (\`bake-token\`), or an API that is not reached.
3. Ready and running: look at the queue \`${cell(agents.queue)}\` in Buildkite, and at the agents' tags there.
4. To go on all the same: \`bake-override\`, below.

From elsewhere: \`bake check --profile ${profile} --host root@node\`, which also makes a support bundle.

## Change it

    bake-override 'REASON'          # take jobs all the same, until the next boot; --off takes it back
    bake-token <FILE                # another agent token; the agents restart when their jobs are done
    systemctl stop bake-metadata    # open the metadata service until the agents or the node start again
    systemctl stop buildkite-agent  # waits for running jobs, at most ${agents.stopTimeout} s; the health timer leaves it stopped

An override lasts until the next boot and holds whatever breaks meanwhile: gate and health timer keep nothing off the node any more.
Do not use it while Docker or \`${storage.mount}\` is down: jobs would come, and fail. \`--off\` gives the node back to the health timer.

A token is read from standard input, such as \`ssh root@node bake-token <FILE\`. One node at a time: its agents take no new jobs
until the running ones end. A job longer than ${agents.stopTimeout} s (\`agents.stopTimeout\`) is killed then. It is done when
\`journalctl -u buildkite-agent\` shows the registration; agents that somebody stopped stay stopped.

### Replace the data disk

1. \`systemctl stop buildkite-agent\`, then \`poweroff\`.
2. Take the old disk out and attach ${storage.kind === "adopt" ? `one with ${storage.source}` : `one blank disk of at least ${storage.minBytes / 2 ** 30} GiB. One that was used before: \`wipefs -a\` it first, elsewhere`}.
3. Boot, and look at \`bake-status\`.${
    storage.kind === "adopt"
      ? ""
      : ` bake-storage waits for the earlier disk for a minute, says so, and then makes the new one.`
  }

Images are loaded again from \`/opt/bake/images\`, builders made again, and the node's key pair is copied back from \`/root/.ssh\`.
Build caches and whatever jobs kept below \`${storage.mount}\` are gone. A disk of another node is taken as it is, with that node's key
pair: \`bake-identity\` then refuses, and says which of the two to remove.

When bake-storage refused a disk and that was put right (so that \`${storage.mount}\` is not mounted), this goes without a reboot:
\`systemctl restart bake-storage && systemctl start ${storageMountUnit(storage.mount)} docker bake-images bake-builders bake-ready\`.

## What is where

| path | what |
|---|---|
| \`/opt/bake/bin\` | the node's scripts and goss; \`bake-status\` and its relatives are on PATH |
| \`/opt/bake/checks\` | goss files by level: gating, npu, advisory, site; live for the health timer; \`goss.yaml\` has them all |
| \`/opt/bake/images\` | archives of pre-loaded images |
| \`/etc/bake/image.json\` | bake id, profile, versions |
| \`/etc/bake/instance.env\` | settings of this node alone, from its user-data |
| \`/etc/bake/secrets\`, \`/root/.gitconfig.d/private\` | secrets, mode 0600, from user-data; in no image and not in \`out/\` |
| \`${storage.stateFolder}\` | what bake keeps on the data disk: the node's key pair, and which images are whole |
| \`/root/.buildkite-agent\` | agent, configuration, builds, hooks |

## Each agent

| index | builder | devices | build cache | models |
|--:|---|---|---|---|
${agents.each
  .map(
    ({ index, builder, devices, dockerCache, modelCache }) =>
      `| ${index} | ${builder} | ${devices.join(" ")} | \`${dockerCache}\` | \`${modelCache}\` |\n`,
  )
  .join("")}
## Checks by guide row

${byRow.join("")}## The guide's mistakes, and what happens instead

| | instead |
|---|---|
${mistakes.map(({ id, instead }) => `| ${id} | ${cell(instead)} |\n`).join("")}`;
};
