/** Where profiles are looked for, by name: one place for reading them, listing them, and for what was meant. */
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { root } from "../host/root.ts";
import { hasProfileEnding, nameOf, profileEndings } from "../profile/file-names.ts";
import { closest } from "../profile/suggest.ts";

/** A folder with profiles. */
export interface Place {
  /** As shown, and as files in it are named. */
  readonly folder: string;
  /** Where `out/` is, relative to the current folder: beside the `profiles/` that was found. */
  readonly home: string;
  /** bake's own, a `profiles/` of the project, or the current folder, where other files may lie too. */
  readonly kind: "own" | "project" | "beside";
}

/** bake's own profiles. */
export const ownProfiles = join(root, "profiles");

/** Whether something else than a name was given. Pure. */
export const isPath = (asked: string): boolean => asked.includes("/") || hasProfileEnding(asked);

const ownerOf = (folder: string): number | undefined => statSync(folder, { throwIfNoEntry: false })?.uid;

/** The current folder and those above it: up to the repository's root, and not into a folder of somebody else. */
const foldersUp = (): string[] => {
  const here = process.cwd();
  const owner = ownerOf(here);
  const folders = [here];
  for (;;) {
    const last = folders.at(-1) ?? here;
    const above = dirname(last);
    const isRepository = statSync(join(last, ".git"), { throwIfNoEntry: false }) !== undefined;
    if (isRepository || above === last || above === "/" || ownerOf(above) !== owner) return folders;
    folders.push(above);
  }
};

/** Folders where names are looked for, the nearest first. */
export const places = (): Place[] => {
  const here = process.cwd();
  const project = foldersUp().flatMap((folder): Place[] => {
    const profiles = join(folder, "profiles");
    const found = statSync(profiles, { throwIfNoEntry: false });
    const isThere = found?.isDirectory() === true && (folder === here || found.uid === ownerOf(here));
    return [
      ...(isThere
        ? [{ folder: relative(here, profiles) || ".", home: relative(here, folder), kind: "project" as const }]
        : []),
      // Inside profiles/ itself, results go beside it, as from above.
      ...(folder === here && basename(here) !== "profiles" ? [{ folder: ".", home: "", kind: "beside" as const }] : []),
    ];
  });
  return project.some(({ folder }) => join(here, folder) === ownProfiles)
    ? project
    : [...project, { folder: ownProfiles, home: "", kind: "own" }];
};

/** Files with this name, the nearest first: those that may be there. */
export const candidates = (name: string): (Place & { readonly file: string })[] =>
  places().flatMap((place) =>
    profileEndings.map((ending) => ({ ...place, file: join(place.folder, `${name}${ending}`) })),
  );

/** Names of the files in a folder that may be profiles, sorted; none where it cannot be read. */
export const profilesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder).filter(hasProfileEnding).toSorted();
  } catch {
    return [];
  }
};

/** All that can be named: of two with one name the nearer. What lies beside somebody in the current folder may be anything. */
export const namedProfiles = (): { readonly name: string; readonly file: string; readonly place: Place }[] => {
  const found = places()
    .filter(({ kind }) => kind !== "beside")
    .flatMap((place) =>
      profilesIn(place.folder).map((file) => ({ name: nameOf(file), file: join(place.folder, file), place })),
    );
  return found.filter(({ name }, index) => found.findIndex((other) => other.name === name) === index);
};

/** The path that was meant by one where nothing is: another ending, a letter, or the folder forgotten. */
export const meantPath = (asked: string): string | undefined => {
  const folder = dirname(asked);
  const there = profilesIn(folder);
  const stem = nameOf(asked);
  const same = there.find((name) => nameOf(name) === stem) ?? closest(basename(asked), there);
  if (same !== undefined) return `${asked.startsWith("./") ? "./" : ""}${join(folder, same)}`;
  const known = namedProfiles();
  const name = known.some((each) => each.name === stem)
    ? stem
    : closest(
        stem,
        known.map((each) => each.name),
      );
  const meant = known.find((each) => each.name === name);
  return meant?.place.kind === "own" ? meant.name : meant?.file;
};
