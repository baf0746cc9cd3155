/** Which releases of Docker a node can have (guide row G15). */
import { isAtLeast, isOpenVersion, isSameLine, majorOf } from "../formats/version.ts";

/** The team excluded 25. From 29 on a fresh data-root uses another image store (S21). */
export const supportedDocker = { oldest: 26, newest: 28 } as const;

/** The last patch release of each line that a node can have; all of them are closed (moby: its release tags). */
const lastOfLines = [
  "26.0.2",
  "26.1.5",
  "27.0.3",
  "27.1.2",
  "27.2.1",
  "27.3.1",
  "27.4.1",
  "27.5.1",
  "28.0.4",
  "28.1.1",
  "28.2.2",
  "28.3.3",
  "28.4.0",
  "28.5.2",
] as const;

/** What there is in the place of a release that there is not: the last ones of its major. Pure. @returns undefined for one that may exist */
export const existingDockers = (version: string): readonly string[] | undefined => {
  const last = lastOfLines.find((each) => isSameLine(each, version));
  if (last !== undefined && (isOpenVersion(version) || isAtLeast(last, version))) return undefined;
  return lastOfLines.filter((each) => majorOf(each) === majorOf(version));
};

/** Whether a Docker release, exact or open, is one that a node can have. Pure. @throws RangeError for what is no version */
export const isSupportedDocker = (version: string): boolean => {
  const major = majorOf(version);
  return major >= supportedDocker.oldest && major <= supportedDocker.newest;
};
