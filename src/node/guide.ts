/** The team's manual guide, row by row: what each row is about, and how a row without a check of its own is proven. */

interface GuideRow {
  /** `G1` … `G28`. */
  readonly row: string;
  readonly subject: string;
}

export const guideRows: readonly GuideRow[] = [
  { row: "G1", subject: "target OS, kernel held" },
  { row: "G2", subject: "Buildkite agent installation" },
  { row: "G3", subject: "agent token" },
  { row: "G4", subject: "buildkite-agent.cfg" },
  { row: "G5", subject: "agent names and the NPUs they own" },
  { row: "G6", subject: "test of the agent" },
  { row: "G7", subject: "the agent's systemd service" },
  { row: "G8", subject: "HOME and the ssh key pair" },
  { row: "G9", subject: "service enabled and started" },
  { row: "G10", subject: "status and log" },
  { row: "G11", subject: "allowlists" },
  { row: "G12", subject: "PyPI cache" },
  { row: "G13", subject: "git proxy" },
  { row: "G14", subject: "private repositories" },
  { row: "G15", subject: "Docker version" },
  { row: "G16", subject: "data disk found" },
  { row: "G17", subject: "file system" },
  { row: "G18", subject: "fstab line and mount" },
  { row: "G19", subject: "Docker static binaries" },
  { row: "G20", subject: "Docker units" },
  { row: "G21", subject: "daemon.json and data-root" },
  { row: "G22", subject: "Docker and buildx pair" },
  { row: "G23", subject: "buildx plugin" },
  { row: "G24", subject: "builders" },
  { row: "G25", subject: "pre-warm: source" },
  { row: "G26", subject: "pre-warm: first agent's caches" },
  { row: "G27", subject: "images and image caches" },
  { row: "G28", subject: "model caches" },
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
  G26: "models",
  G28: "models",
};

/** The guide's mistakes and what bake does instead. */
export const mistakes: readonly { readonly id: string; readonly instead: string }[] = [
  {
    id: "S1",
    instead: "nothing is copied between agents: each has a view of the one model on the data disk; caches come later",
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
  { id: "S29", instead: "a model is on the disk once, and an overlay for each agent; nothing is copied by rsync" },
];
