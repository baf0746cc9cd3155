/** Docker static binaries and daemon.json (guide rows G15, G19–G21). */
import type { Profile } from "../profile/schema.ts";

export interface DockerPlan {
  readonly version: string;
  readonly dataRoot: string;
  /** The files taken from the archive, by name: newer archives also hold licence files (guide row G19). */
  readonly binaries: readonly string[];
  /** What bake sets in daemon.json; whatever else is there stays. */
  readonly daemon: Readonly<Record<string, unknown>>;
}

export const planDocker = ({ docker }: Profile): DockerPlan => ({
  version: docker.version,
  dataRoot: docker.dataRoot,
  binaries: [
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "docker",
    "docker-init",
    "docker-proxy",
    "dockerd",
    "runc",
  ],
  daemon: {
    "data-root": docker.dataRoot,
    // Pinned: an empty data-root may otherwise select another image store than the one the image was baked with.
    "storage-driver": "overlay2",
    // Containers of running jobs and the builders outlive a crash or restart of dockerd.
    "live-restore": true,
    "default-address-pools": docker.addressPools.map(({ base, size }) => ({ base, size })),
    "log-driver": "json-file",
    "log-opts": { "max-size": docker.logMaxSize, "max-file": String(docker.logMaxFiles) },
  },
});
