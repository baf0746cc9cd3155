/** The operating system that a node is made from (guide row G1), and what bake's own scripts need of it. */
import type { Concern, Package } from "./concern.ts";
import { advisory, literal, ofCommand } from "./check-commands.ts";

/** `ID=` in /etc/os-release: the stand-in base of a trial is a Debian. */
const systemsOf = (trial: boolean): readonly string[] => (trial ? ["debian"] : ["euleros", "openEuler"]);

const tools: readonly Package[] = [
  { action: "install", apt: "ca-certificates", dnf: "ca-certificates", order: 10 },
  { action: "install", apt: "curl", dnf: "curl", order: 20 },
  { action: "install", apt: "diffutils", dnf: "diffutils", order: 30 },
  { action: "install", apt: "iproute2", dnf: "iproute", order: 50 },
  { action: "install", apt: "openssh-client", dnf: "openssh-clients", order: 80 },
  { action: "install", apt: "python3", dnf: "python3", order: 90 },
  { action: "install", apt: "tar", dnf: "tar", order: 100 },
];

export const system: Concern = {
  name: "system",
  contribute: ({ trial }) => {
    const systems = systemsOf(trial);
    return {
      directories: [{ path: "/var/lib/bake", order: 20 }],
      packages: [
        ...tools,
        // Kept at their version: a driver of the NPUs fits one kernel.
        { action: "hold", apt: "linux-image-*", dnf: "kernel" },
        { action: "hold", apt: "linux-headers-*", dnf: "kernel-core" },
        // By name: kernel* would hide kernel-headers and kernel-devel, which compilers and the driver's build need.
        { action: "hold", dnf: "kernel-modules*" },
      ],
      checks: [
        ofCommand(
          advisory,
          { id: "operating-system", rows: ["G1"], title: `the operating system is one of ${systems.join(", ")}` },
          '. /etc/os-release && echo "$ID"',
          { stdout: [`/^(${systems.map(literal).join("|")})$/`] },
        ),
        ofCommand(
          advisory,
          {
            id: "kernel-held",
            rows: ["G1"],
            title: "updates leave the kernel alone",
            help: "apt-mark hold 'linux-image-*', or exclude=kernel kernel-core kernel-modules* in /etc/dnf/dnf.conf: a driver of the NPUs fits one kernel",
          },
          "{ apt-mark showhold; cat /etc/dnf/dnf.conf /etc/yum.conf; } 2>/dev/null | grep -Eq '^(linux-image|exclude(pkgs)? *=(.*[ ,])?kernel([ ,*]|$))'",
        ),
      ],
    };
  },
};
