/** What files that are profiles are called. Pure. */
import { basename } from "node:path";

/** In the order in which they are looked for. */
export const profileEndings = [".yaml", ".yml"] as const;

/** Whether a file may be a profile, by its name. */
export const hasProfileEnding = (file: string): boolean => profileEndings.some((ending) => file.endsWith(ending));

/** `2cards` of `profiles/2cards.yaml`. */
export const nameOf = (file: string): string => basename(file).replace(/\.ya?ml$/, "");
