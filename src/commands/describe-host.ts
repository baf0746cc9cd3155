/** What a host says of itself, for people. Pure. */
import type { HostIdentity } from "../check/check-host.ts";
import type { Fact } from "../report/input.ts";

/** Lines before the table. @param against Whether its image is the one of `folder`. */
export const describeHost = (
  name: string,
  identity: HostIdentity,
  against: string,
  folder: string,
  trial: boolean,
): string => {
  const { os, architecture, kernel, systemd, hostname, baked } = identity;
  const made =
    baked === undefined
      ? "not baked: checks of bake's own files are left out"
      : `baked from profile ${baked.profile}${baked.trial ? " (trial)" : ""}, bake id ${baked.bakeId}: ${
          against === "same"
            ? `the one in ${folder}/image.json`
            : against === "another"
              ? `another than in ${folder}/image.json`
              : `${folder}/image.json is not here to compare with`
        }${baked.trial && !trial ? "\n  it is a trial's node: compare it with --trial" : ""}`;
  return `host ${name} (${hostname})\n  ${os.name}, ${architecture}, kernel ${kernel}, systemd ${systemd}\n  ${made}`;
};

/** The same for a report. */
export const hostFacts = ({ os, architecture, kernel, systemd, hostname, baked }: HostIdentity): Fact[] => [
  ["host name", hostname],
  ["system", `${os.name}, ${architecture}`],
  ["kernel", kernel],
  ["systemd", systemd],
  baked === undefined
    ? ["baked", "no: checks of bake's own files are left out"]
    : ["baked from", `${baked.profile}${baked.trial ? " (trial)" : ""}, bake id ${baked.bakeId}`],
];
