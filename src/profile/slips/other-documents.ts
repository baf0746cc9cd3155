/** Files that are something else than a profile: one cause, told once. Pure. */
import { Profile } from "../schema.ts";
import type { ShapeProblem } from "../shape-problems.ts";
import { keySlip } from "./keys.ts";

/** By a key of theirs: what they are, and what to do. */
const known: readonly (readonly [key: string, what: string, help: string])[] = [
  ["lockVersion", "a lock", "name its profile: the file beside it without .lock, ending in .yaml"],
  ["$schema", "a JSON schema", "name a profile; this is what editors check profiles by"],
  ["services", "a compose file", "list its images in `images` of a profile"],
  ["apiVersion", "a manifest of Kubernetes", "write a profile: bake init NAME"],
  ["write_files", "user-data of cloud-init", "name the profile that it is made from; bake render makes user-data"],
  ["runcmd", "user-data of cloud-init", "name the profile that it is made from; bake render makes user-data"],
  ["steps", "a pipeline", "write a profile: bake init NAME"],
  ["bakeId", "a record of bake", "name the profile that it is of"],
  ["facts", "a plan of bake", "name the profile that it was made from; bake render makes plans"],
];

/** What a document is, none of whose keys a profile has or could mean. Pure. @returns undefined for what may be a profile */
export const otherDocument = (value: unknown): ShapeProblem | undefined => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const keys = Object.keys(value);
  if (keys.length === 0) return undefined;
  const sections = Object.keys(Profile.shape);
  const found = known.find(([key]) => keys.includes(key));
  // A misspelt or a misplaced key is enough to be one.
  if (keys.some((key) => sections.includes(key)) && found?.[0] !== "lockVersion") return undefined;
  if (found === undefined) {
    if (keys.length < 2) return undefined;
    const allowed = [...sections, "extends"];
    if (keys.some((key) => Object.keys(keySlip([], key, allowed)).length > 0)) return undefined;
  }
  return {
    path: [],
    at: "value",
    code: "BK102",
    message:
      found === undefined
        ? "this is no profile: none of its keys is one of a profile"
        : `this is ${found[1]}, and no profile`,
    help: found?.[2] ?? `a profile has ${sections.join(", ")}; bake init NAME writes one`,
  };
};
