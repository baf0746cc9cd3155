import type { Profile } from "../schema.ts";
import { closest } from "../suggest.ts";
import type { Rule } from "./rule.ts";

/**
 * A pin for nothing would be a note that nobody is reminded of.
 * @param namesOf Names of the artifacts of a profile that a pin can be for.
 */
export const pinsRule = (namesOf: (profile: Profile) => readonly string[]): Rule => ({
  code: "BK134",
  reads: [
    "pins{}",
    "images",
    "builders.image",
    "models",
    "caches",
    "files",
    "targets",
    "secrets.basePassword",
    "docker.version",
    "buildx.version",
    "agents.version",
    "checks.gossVersion",
  ],
  find: (profile) => {
    const known = namesOf(profile);
    return Object.keys(profile.pins)
      .filter((name) => !known.includes(name))
      .map((name) => {
        const meant = closest(name, known);
        return {
          path: ["pins", name],
          at: "key" as const,
          message: `the pin ${name} is for nothing in this profile`,
          label: meant === undefined ? "no artifact of this name" : `did you mean ${meant}?`,
          help: `pins are named as artifacts: ${known.join(", ")}`,
        };
      });
  },
});
