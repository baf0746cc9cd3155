/** Which releases of Docker a node can have (guide row G15). */
import { majorOf } from "../formats/version.ts";

/** The team excluded 25. From 29 on a fresh data-root uses another image store (S21). */
export const supportedDocker = { oldest: 26, newest: 28 } as const;

/** Whether a Docker release, exact or open, is one that a node can have. Pure. @throws RangeError for what is no version */
export const isSupportedDocker = (version: string): boolean => {
  const major = majorOf(version);
  return major >= supportedDocker.oldest && major <= supportedDocker.newest;
};
