/** What of a base's daemon.json is not taken over: daemon-json.py reads it while the image is made. Pure. */

interface LeftOut {
  /** Where it stands in daemon.json, from the outside in. */
  readonly key: readonly string[];
  /** Only this value; any other stays. */
  readonly value?: unknown;
  readonly why: string;
}

const listens = "docker.socket and docker.service say where Docker listens";
const images = "where and how images are stored is bake's";
const cluster = "Docker has no such clusters any more";
const wayOut = "containers would have no way out of the node";

const always: readonly LeftOut[] = [
  ...["hosts", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey"].map((key) => ({ key: [key], why: listens })),
  ...["graph", "exec-root", "pidfile", "storage-opts", "userns-remap"].map((key) => ({ key: [key], why: images })),
  // The last of them has two spellings, by release.
  ...["containerd", "containerd-namespace", "containerd-plugin-namespace", "containerd-plugins-namespace"].map(
    (key) => ({ key: [key], why: images }),
  ),
  { key: ["features", "containerd-snapshotter"], why: images },
  ...["cluster-store", "cluster-store-opts", "cluster-advertise"].map((key) => ({ key: [key], why: cluster })),
  ...["iptables", "ip-forward", "ip-masq"].map((key) => ({ key: [key], value: false, why: wayOut })),
  { key: ["bridge"], value: "none", why: wayOut },
];

/** What json-file takes, of any release of Docker. */
const logOptions = [
  ...["max-size", "max-file", "compress", "tag", "mode", "max-buffer-size"],
  ...["labels", "labels-regex", "env", "env-regex"],
];

/** @param hasProxy Whether the profile says which proxy Docker uses. */
export const baseSettings = (hasProxy: boolean): string =>
  `${JSON.stringify(
    {
      leftOut: [...always, ...(hasProxy ? [{ key: ["proxies"], why: "the profile has the proxy" }] : [])],
      logOptions,
    },
    null,
    2,
  )}\n`;
