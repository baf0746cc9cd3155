/** Distribution packages: what the contract needs and what must go, by package manager. Touched at bake time only. */
import type { Profile } from "../profile/schema.ts";

export interface PackagePlan {
  readonly install: { readonly apt: readonly string[]; readonly dnf: readonly string[] };
  /** Docker as the distribution packs it: it owns the same files as the static archive (guide row G19). */
  readonly remove: { readonly apt: readonly string[]; readonly dnf: readonly string[] };
  /** Kept at their version: a driver of the NPUs fits one kernel. */
  readonly hold: { readonly apt: readonly string[]; readonly dnf: readonly string[] };
}

/** Names by the package managers of Debian and of EulerOS/openEuler (dnf, or yum where that is all there is). */
export const planPackages = ({ storage }: Profile): PackagePlan => ({
  install: {
    apt: [
      ...[
        "ca-certificates",
        "curl",
        "diffutils",
        "git",
        "iproute2",
        "iptables",
        "kmod",
        "openssh-client",
        "python3",
        "tar",
      ],
      ...["xz-utils", storage.filesystem === "xfs" ? "xfsprogs" : "e2fsprogs"],
    ],
    dnf: [
      ...[
        "ca-certificates",
        "curl",
        "diffutils",
        "git",
        "iproute",
        "iptables",
        "kmod",
        "openssh-clients",
        "python3",
        "tar",
      ],
      ...["xz", storage.filesystem === "xfs" ? "xfsprogs" : "e2fsprogs"],
    ],
  },
  remove: {
    apt: [
      "docker-engine",
      "docker.io",
      "docker-cli",
      "docker-ce",
      "docker-ce-cli",
      "docker-buildx",
      "containerd",
      "runc",
    ],
    dnf: [
      "docker-engine",
      "docker-engine-selinux",
      "docker-ce",
      "docker-ce-cli",
      "docker",
      "docker-runc",
      "docker-cli",
      "docker-buildx",
      "containerd",
      "runc",
    ],
  },
  hold: { apt: ["linux-image-*", "linux-headers-*"], dnf: ["kernel*"] },
});
