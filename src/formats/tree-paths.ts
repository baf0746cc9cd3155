/** Paths of files that are to lie below one folder, each at a place of its own. */

interface Clash {
  /** Of the path that cannot be there as well. */
  readonly index: number;
  /** What it has: goes on "config.json has". */
  readonly why: string;
}

/** Which paths are there twice, or below one that is a file. In their order; none when all can lie there. Pure. */
export const clashingPaths = (paths: readonly string[]): Clash[] => {
  const first = new Map<string, number>();
  for (const [index, path] of paths.entries()) if (!first.has(path)) first.set(path, index);
  return paths.flatMap((path, index): Clash[] => {
    if (first.get(path) !== index) return [{ index, why: "a second entry" }];
    const above = path
      .split("/")
      .map((_, depth, parts) => parts.slice(0, depth).join("/"))
      .find((folder) => first.has(folder));
    return above === undefined ? [] : [{ index, why: `a file, ${above}, as its folder` }];
  });
};
