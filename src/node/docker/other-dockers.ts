/**
 * Docker as others pack it: it owns the same files as the static archive, or stands before them (guide row G19). Packages that
 * are not named here are found at bake time by those files.
 */

/** Of Docker's own repository, by the same names in both families. */
const upstream = [
  "docker-ce",
  "docker-ce-cli",
  "docker-ce-rootless-extras",
  "containerd.io",
  "docker-buildx-plugin",
  "docker-compose-plugin",
  "docker-scan-plugin",
];

const moby = ["moby-engine", "moby-cli", "moby-buildx", "moby-compose", "moby-containerd", "moby-runc"];

const shared = ["docker-engine", ...upstream, ...moby, "docker-cli", "docker-buildx", "podman-docker"];

export const otherDockers = {
  apt: [...shared, "docker.io", "containerd", "runc"],
  // libnetwork: openEuler's docker-proxy.
  dnf: [
    ...[...shared, "docker-engine-selinux", "docker-selinux", "docker", "docker-client", "docker-common"],
    ...["docker-runc", "docker-proxy", "libnetwork", "containerd", "runc"],
  ],
} as const;
