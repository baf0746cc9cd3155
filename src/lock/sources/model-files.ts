/** What the resolvers of model hubs share. */
import { BakeError } from "../../errors.ts";
import type { Model } from "../../artifact.ts";
import { clashingPaths } from "../../formats/tree-paths.ts";
import { shownUrl } from "../../store/url.ts";
import type { ModelRequirement } from "../../node/requirement.ts";

export type ModelFile = Model["files"][number];

/** @throws BakeError BK243 when it cannot be the name of a model */
export const requireModelName = ({ name }: ModelRequirement): string => {
  if (/^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/.test(name)) return name;
  throw new BakeError("BK243", `${name} is no name of a model`, "It is owner/name, as in the hub's own URL.");
};

/** Each part of a path as a URL has it. */
export const pathInUrl = (path: string): string => path.split("/").map(encodeURIComponent).join("/");

const unusable = (path: string): string | undefined => {
  if (path === "") return "an empty path";
  if (path.startsWith("/")) return "an absolute path";
  if (path.includes("\\")) return "a backslash";
  if (/[\0-\x1f\x7f]/.test(path)) return "a control character";
  const part = path.split("/").find((each) => each === "" || each === "." || each === "..");
  return part === undefined ? undefined : `the part "${part}"`;
};

/**
 * A model's files are written below one folder: each at a place of its own, and none outside.
 * @throws BakeError BK238
 */
export const requireUsablePaths = (paths: readonly string[], model: string, url: string): void => {
  const refuse = (path: string, why: string) => {
    const shown = JSON.stringify(path);
    throw new BakeError("BK238", `model ${model}: ${shown} in ${shownUrl(url)} has ${why}`, "Tell the model's owner.");
  };
  for (const path of paths) {
    const why = unusable(path);
    if (why !== undefined) refuse(path, why);
  }
  const [clash] = clashingPaths(paths);
  if (clash !== undefined) refuse(paths[clash.index] ?? "", clash.why);
};

interface ChangedFile {
  readonly path: string;
  readonly how: "new" | "gone" | "changed";
}

type Files = readonly Pick<ModelFile, "path" | "sha256" | "size">[];

/** Which files differ between two answers for one branch or tag; none when both are the same model. Sorted by path. */
export const changedFiles = (locked: Files, now: Files): ChangedFile[] => {
  const before = new Map(locked.map((file) => [file.path, file]));
  const after = new Map(now.map((file) => [file.path, file]));
  return [...new Set([...before.keys(), ...after.keys()])].toSorted().flatMap((path): ChangedFile[] => {
    const [old, fresh] = [before.get(path), after.get(path)];
    if (old === undefined) return [{ path, how: "new" }];
    if (fresh === undefined) return [{ path, how: "gone" }];
    return old.sha256 === fresh.sha256 && old.size === fresh.size ? [] : [{ path, how: "changed" }];
  });
};
