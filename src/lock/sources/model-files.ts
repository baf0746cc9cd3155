/** What all model hubs' lists of files have to hold to. Pure. */
import { BakeError } from "../../errors.ts";

/** @throws BakeError BK235 for a path that would leave the model's folder, or that is there twice. */
export const requirePlainPaths = (paths: readonly string[], model: string): void => {
  const wrong = paths.find((path) => /(?:^|\/)\.{0,2}(?:\/|$)|[\0-\x1f\x7f\\]/.test(path));
  const twice = paths.find((path, index) => paths.indexOf(path) < index);
  const help = "The hub's list cannot be right. Nothing was taken.";
  if (wrong !== undefined) throw new BakeError("BK235", `${model} lists a file at ${JSON.stringify(wrong)}`, help);
  if (twice !== undefined) throw new BakeError("BK235", `${model} lists ${JSON.stringify(twice)} twice`, help);
  if (paths.length === 0) throw new BakeError("BK235", `${model} lists no files`, help);
};

/** Kept out by the hubs' own clients (modelscope: snapshot_download). */
export const isForGit = (path: string): boolean => /(?:^|\/)\.git(?:ignore|attributes)$/.test(path);
