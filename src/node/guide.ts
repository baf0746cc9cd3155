/** The team's manual guide, row by row: what each row is about, and how a row without a check of its own is proven. */

interface GuideRow {
  /** `G1` … `G28`. */
  readonly row: string;
  readonly subject: string;
  /** What is to be true on a node. */
  readonly truth: string;
  /** Mistakes of the guide that stand in this row. */
  readonly mistakes: readonly string[];
}

export const guideRows: readonly GuideRow[] = [
  {
    row: "G1",
    subject: "target OS, kernel held",
    truth:
      "A node runs EulerOS 2.0 SP8 or openEuler, or what stands in for them in a trial, on x86_64 or aarch64. Its kernel stays the one that the image was made with: NPU drivers are built for it.",
    mistakes: [],
  },
  {
    row: "G2",
    subject: "Buildkite agent installation",
    truth:
      "The agent is one pinned release of version 3, compared with a digest in the lock, and nothing on the node updates it.",
    mistakes: ["S7", "S26"],
  },
  {
    row: "G3",
    subject: "agent token",
    truth:
      "Exactly one token of one cluster is on the node, readable by root alone. It came after the bake, and is in no image.",
    mistakes: ["S26"],
  },
  {
    row: "G4",
    subject: "buildkite-agent.cfg",
    truth:
      "`buildkite-agent.cfg` says what the profile says: number of agents, queue, tags, git flags. No key is there that this release does not know, and no variable overrides one.",
    mistakes: ["S27"],
  },
  {
    row: "G5",
    subject: "agent names and the NPUs they own",
    truth:
      "Agents are called host name, index, and the number of their cards, as CI's script reads them. Agent i owns its share of the NPUs, and the host has enough for all.",
    mistakes: [],
  },
  {
    row: "G6",
    subject: "test of the agent",
    truth: "The agents that run answer at their health address. To test them nobody starts a second set beside them.",
    mistakes: ["S20"],
  },
  {
    row: "G7",
    subject: "the agent's systemd service",
    truth:
      "The service starts when network, data disk, Docker and builders are there, with values from files. A stop lets running jobs end.",
    mistakes: ["S4", "S11", "S12", "S22"],
  },
  {
    row: "G8",
    subject: "HOME and the ssh key pair",
    truth:
      "The service has root's home. The node has a key pair of its own, made there or delivered, kept when the system disk is changed, and in no image.",
    mistakes: ["S23"],
  },
  {
    row: "G9",
    subject: "service enabled and started",
    truth: "The agents start at each boot, once the node is what its plan says.",
    mistakes: ["S13"],
  },
  {
    row: "G10",
    subject: "status and log",
    truth: "`bake-status` says in a line whether the node is ready, and else why; the journal has the rest.",
    mistakes: [],
  },
  {
    row: "G11",
    subject: "allowlists",
    truth: "Every host that a node talks to is in `allowlist.md`, with port and reason, and is reached from there.",
    mistakes: ["S24"],
  },
  {
    row: "G12",
    subject: "PyPI cache",
    truth: "Jobs find host and port of the PyPI cache, it answers, and no network of Docker hides it.",
    mistakes: ["S11", "S19"],
  },
  {
    row: "G13",
    subject: "git proxy",
    truth: "git asks for github.com by way of the proxy. One file says so, and no other rule beats it.",
    mistakes: ["S23"],
  },
  {
    row: "G14",
    subject: "private repositories",
    truth:
      "With a token, private repositories can be cloned through the proxy. The header is on one line, in a file that root alone reads.",
    mistakes: ["S8"],
  },
  {
    row: "G15",
    subject: "Docker version",
    truth: "Docker is a release of 26 to 28, and the one that the profile names.",
    mistakes: ["S21"],
  },
  {
    row: "G16",
    subject: "data disk found",
    truth:
      "The data disk is the one blank disk, or the one file system that the profile adopts. A disk that holds anything else is left alone.",
    mistakes: ["S16"],
  },
  {
    row: "G17",
    subject: "file system",
    truth: "The file system is ext4 or xfs, made once, with the UUID that all nodes of the fleet share.",
    mistakes: ["S2", "S16"],
  },
  {
    row: "G18",
    subject: "fstab line and mount",
    truth: "The data disk is mounted at each boot. Without it the node can be reached, and Docker does not start.",
    mistakes: ["S2", "S3"],
  },
  {
    row: "G19",
    subject: "Docker static binaries",
    truth:
      "The binaries are those of the static archive, in `/usr/bin`, with all that they need beside them, and no other Docker is installed.",
    mistakes: ["S9", "S14", "S21"],
  },
  {
    row: "G20",
    subject: "Docker units",
    truth: "containerd, Docker's socket and Docker have units that agree with these binaries, enabled and running.",
    mistakes: ["S9", "S13", "S14"],
  },
  {
    row: "G21",
    subject: "daemon.json and data-root",
    truth: "Docker keeps its data on the data disk. `daemon.json` has what bake sets, and what was there before.",
    mistakes: ["S13", "S15"],
  },
  {
    row: "G22",
    subject: "Docker and buildx pair",
    truth: "buildx is the release that this Docker was tested with.",
    mistakes: ["S28"],
  },
  {
    row: "G23",
    subject: "buildx plugin",
    truth: "One buildx plugin answers: root's own, for root alone.",
    mistakes: ["S10", "S28"],
  },
  {
    row: "G24",
    subject: "builders",
    truth:
      "Each agent has a builder of its own, from the pinned BuildKit image. None of them is the default of `docker build`.",
    mistakes: ["S5", "S6", "S25"],
  },
  {
    row: "G25",
    subject: "pre-warm: source",
    truth: "No source of vLLM is needed on the host to warm anything.",
    mistakes: ["S18"],
  },
  {
    row: "G26",
    subject: "pre-warm: first agent's caches",
    truth:
      "The first agent's caches are warm before its first job: its build cache and its models are those of the lock.",
    mistakes: ["S17"],
  },
  {
    row: "G27",
    subject: "images and image caches",
    truth:
      "Images that jobs start from are in Docker's store, and are those that the lock names. Every agent has a build cache of its own; of what they share there is one copy.",
    mistakes: ["S1", "S29"],
  },
  {
    row: "G28",
    subject: "model caches",
    truth: "Every agent finds the models of the tests in its own folder, without asking a hub for their bytes.",
    mistakes: ["S1", "S29"],
  },
];

/** Rows that a VM cannot prove, and why. */
export const notProven: Readonly<Record<string, string>> = {
  G11: "needs the site's network: `bake check --host` tries every host of allowlist.md that a node talks to",
  G25: "not needed: nothing is warmed on the node, and each job checks out its own source",
};

/** Rows that nothing of a node is about unless the profile says so, and which setting that is. */
export const asksFor: Readonly<Record<string, string>> = {
  G12: "network.pypiCache",
  G13: "network.gitProxy",
  G26: "caches",
  G28: "models",
};

/** The guide's mistakes and what bake does instead. */
export const mistakes: readonly { readonly id: string; readonly instead: string }[] = [
  {
    id: "S1",
    instead:
      "nothing is copied between agents: each has a view of the one model on the data disk, and links to the blobs of the one build cache",
  },
  { id: "S2", instead: "mkfs gets the UUID that fstab names: one for the fleet, storage.uuid" },
  { id: "S3", instead: "fstab says nofail, waits for bake-storage, and Docker requires the mount" },
  { id: "S4", instead: "KillMode=mixed and TimeoutStopSec=agents.stopTimeout: running jobs end first" },
  { id: "S5", instead: "builders are made without --use; a check holds that default stays the current one" },
  { id: "S6", instead: "builders.image is pinned by tag and compared by image ID with the lock" },
  { id: "S7", instead: "agents.version is exact, and the lock names its digest" },
  { id: "S8", instead: "the header with the git token is encoded on one line, in a file of mode 0600" },
  { id: "S9", instead: "the eight binaries of the archive go to /usr/bin, and units of bake's own agree with that" },
  { id: "S10", instead: "one buildx plugin; a check counts those that could shadow it" },
  { id: "S11", instead: "values reach the service by an environment file; the profile refuses an empty one" },
  { id: "S12", instead: "the agent starts after network, cloud-init, Docker, builders and the gate" },
  { id: "S13", instead: "containerd, docker.socket and docker are enabled; a check holds it" },
  { id: "S14", instead: "the group docker is made before its socket; iptables, modprobe and xz are installed" },
  { id: "S15", instead: "daemon.json is merged: keys that are there, such as Ascend's runtimes, stay" },
  { id: "S16", instead: "only a disk without any signature is formatted; everything else is refused by name" },
  { id: "S17", instead: "not needed: nothing is warmed by running the CI script by hand" },
  { id: "S18", instead: "nothing is installed with pip on the host" },
  { id: "S19", instead: "one setting for the PyPI cache; Docker's address pools stay away from it (BK115)" },
  { id: "S20", instead: "the running agents are asked at their health address; no second set is started" },
  { id: "S21", instead: "Docker 26 to 28 (BK112), storage driver pinned" },
  { id: "S22", instead: "units lie in /etc/systemd/system" },
  {
    id: "S23",
    instead: "the key pair is made on the node, kept on the data disk, and bake-status shows its public half",
  },
  { id: "S24", instead: "allowlist.md is rendered from the plan: every host, port and reason" },
  { id: "S25", instead: "bake-builders looks before it makes: it can run any number of times" },
  { id: "S26", instead: "buildkite-agent.cfg and the token's file are 0600" },
  { id: "S27", instead: "keys are compared with those that the agent's release knows (BK114)" },
  { id: "S28", instead: "buildx is pinned by version and digest" },
  {
    id: "S29",
    instead:
      "a model is on the disk once, and an overlay for each agent; blobs of build caches are hard links; nothing is copied by rsync",
  },
];
