/**
 * Before the first VM: the artifacts and the base of the trial, in the store. The test files that start from the base run
 * beside the one that bakes; without this each of them would make it.
 */
import { mkdir } from "node:fs/promises";
import { bake, goldenFolder } from "./golden-image.ts";

/** Called by vitest. */
export const setup = async (): Promise<void> => {
  await mkdir(goldenFolder, { recursive: true });
  const { code, output } = await bake(goldenFolder, ["fetch", "--profile", "2cards", "--trial"]);
  if (code !== 0) throw new Error(`the trial could not be prepared:\n${output}`);
};
