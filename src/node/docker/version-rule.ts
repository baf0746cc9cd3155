import { isOpenVersion, isSameLine, majorOf } from "../../formats/version.ts";
import { existingDockers, isSupportedDocker, supportedDocker } from "../../profile/docker-releases.ts";
import type { Problem, Rule } from "../../profile/rules/rule.ts";

/** Run by the team on its hosts (guide row G15). */
const verified = ["26.1.3", "27.5.1"];

/** The last releases of lines that are closed: what `27.5.x` means while no lock says so. */
const lastOfLine = ["26.1.5", "27.5.1"];

const isVerified = (version: string): boolean => {
  const meant = isOpenVersion(version) ? lastOfLine.find((last) => isSameLine(last, version)) : version;
  return meant !== undefined && verified.includes(meant);
};

/** A node has Docker 26 to 28; docker-releases.ts says why. */
export const dockerVersion: Rule = {
  code: "BK112",
  reads: ["docker.version"],
  find: ({ docker: { version } }): Problem[] => {
    const path = ["docker", "version"];
    if (!isSupportedDocker(version)) {
      return [
        {
          path,
          message: `Docker ${version} is not supported`,
          label:
            majorOf(version) < supportedDocker.oldest ? "older than 26" : "29 and later keep images outside data-root",
          help: `use ${verified.join(" or ")} (verified), or another release of 26, 27 or 28`,
        },
      ];
    }
    const existing = existingDockers(version);
    if (existing !== undefined) {
      return [
        {
          path,
          message: `there is no Docker ${version}`,
          label: `the newest of ${majorOf(version)} is ${existing.at(-1)}`,
          help: `the last releases of each line: ${existing.join(", ")}; verified on such hosts: ${verified.join(", ")}`,
        },
      ];
    }
    return isVerified(version)
      ? []
      : [
          {
            path,
            severity: "warning",
            untried: true,
            message: `Docker ${version} was not tried on such hosts`,
            label: "allowed, not verified",
            help: `verified: ${verified.join(", ")}`,
          },
        ];
  },
};
