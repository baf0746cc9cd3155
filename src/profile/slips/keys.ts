/** Which key was meant by one that the schema does not know: of another spelling, another place, another tool. Pure. */
import * as z from "zod";
import { childTypes, keysOf, options, rootTypes, type Type } from "../schema-questions.ts";
import { type ProfilePath, spell } from "../source.ts";
import { closest } from "../suggest.ts";

export interface KeySlip {
  /** The setting that is meant, when it is one. */
  readonly meant?: ProfilePath;
  readonly label?: string;
  readonly help?: string;
}

/** `data_root`, `data-root` and `DataRoot` are one. */
const bare = (name: string): string =>
  name
    .normalize("NFKC")
    .replace(/[^\p{L}\p{N}]/gu, "")
    .toLowerCase();

/** What other tools call it. */
const otherNames: ReadonlyMap<string, string> = new Map([
  ["arch", "architecture"],
  ["platform", "architecture"],
  ["mem", "memory"],
  ["ram", "memory"],
  ["cpu", "cpus"],
  ["cores", "cpus"],
  ["vcpus", "cpus"],
  ["env", "environment"],
  ["vars", "environment"],
  ["token", "agentToken"],
  ["graph", "dataRoot"],
  ["disks", "disk"],
  ["fs", "filesystem"],
  ["fstype", "filesystem"],
  ["mountpoint", "mount"],
  ["npu", "npus"],
  ["devices", "npus"],
  ["from", "extends"],
  ["inherits", "extends"],
  ["include", "extends"],
  ["parent", "extends"],
  ["authorizedkeys", "operatorKeys"],
  ["sshauthorizedkeys", "operatorKeys"],
  ["noproxy", "except"],
]);

/** Every setting of the schema by its bare name. Names below a list or a free map have no place of their own. */
let settings: ReadonlyMap<string, readonly ProfilePath[]> | undefined;
const places = (): ReadonlyMap<string, readonly ProfilePath[]> => {
  if (settings !== undefined) return settings;
  const found = new Map<string, ProfilePath[]>();
  const walk = (types: readonly Type[], path: ProfilePath): void => {
    for (const key of keysOf(types)) {
      const below = [...path, key];
      found.set(bare(key), [...(found.get(bare(key)) ?? []), below]);
      const inner = childTypes(types, key);
      if (!inner.flatMap(options).some((type) => type instanceof z.ZodArray)) walk(inner, below);
    }
  };
  walk(rootTypes, []);
  settings = found;
  return settings;
};

const or = (words: readonly string[]): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;

/** In more places than these nobody can have meant one. */
const mostPlaces = 5;

const insideOf = (path: ProfilePath): string => (path.length < 2 ? "the profile itself" : spell(path.slice(0, -1)));

/** Which setting an unknown key means. Pure. @param path Where it stands. @param allowed The keys that can stand there. */
export const keySlip = (path: ProfilePath, name: string, allowed: readonly string[]): KeySlip => {
  const here = (key: string): KeySlip => ({ meant: [...path, key], label: `did you mean ${key}?` });
  const [, before, behind] = /^([A-Za-z]+):(\S.*)$/.exec(name) ?? [];
  if (before !== undefined && allowed.includes(before))
    return { meant: [...path, before], label: "no blank after the colon", help: `write ${before}: ${behind}` };
  const same = allowed.find((key) => bare(key) === bare(name));
  if (same !== undefined)
    return { ...here(same), help: `write ${same}: keys have no _ and no -, and a capital where a word begins` };
  const other = otherNames.get(bare(name));
  if (other !== undefined && allowed.includes(other)) return here(other);
  // `agents.spawn: 4` as one key.
  const steps = name.split(".");
  const [dotted] = (places().get(bare(steps.at(-1) ?? "")) ?? []).filter(
    (each) => spell(each) === spell([...path, ...steps]),
  );
  if (steps.length > 1 && dotted !== undefined) {
    return {
      meant: dotted,
      label: "a key of several levels",
      help: `write one line for each: ${steps.slice(0, -1).join(": { ")}: { ${steps.at(-1)}: … ${"}".repeat(steps.length - 1)}`,
    };
  }
  if (allowed.includes(`${name}s`)) return here(`${name}s`);
  const near = closest(name, allowed);
  const elsewhere = places().get(bare(name)) ?? (other === undefined ? [] : (places().get(bare(other)) ?? []));
  // The same word in another place is nearer than another word here.
  if (near !== undefined && elsewhere.length === 0) return here(near);
  const section = elsewhere.find((each) => each.length === 1);
  const only = section ?? elsewhere[0];
  if (only !== undefined && (section !== undefined || elsewhere.length === 1)) {
    return {
      meant: only,
      label: `it belongs into ${insideOf(only)}`,
      help:
        only.length === 1
          ? `write ${String(only[0])}: at the beginning of a line, without blanks before it`
          : `write it below ${insideOf(only)}: as ${spell(only)}`,
    };
  }
  if (elsewhere.length > 1 && elsewhere.length <= mostPlaces) {
    return { label: "it belongs elsewhere", help: `it may be ${or(elsewhere.map(spell))}` };
  }
  return near === undefined ? {} : here(near);
};
