/** How much bake says: set once by the command line, `-q` and `-v`. */
let level: "quiet" | "normal" | "verbose" = "normal";

/** @param to From then on. */
export const setVerbosity = (to: typeof level): void => void (level = to);

/** Whether only results, findings and errors are told. */
export const isQuiet = (): boolean => level === "quiet";

/** Whether the commands that bake runs are told too. */
export const isVerbose = (): boolean => level === "verbose";

/** A line for people on standard output that says how it went: with `-q` it is not told. */
export const say = (text: string): void => {
  if (!isQuiet()) process.stdout.write(`${text}\n`);
};
