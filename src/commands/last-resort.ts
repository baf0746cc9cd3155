/** What is told when nothing else tells it: a fault of bake, or a place that it cannot do without. It loads nothing. */
import { writeSync } from "node:fs";

/** The first line alone: what follows may be the text of a bundle. */
const firstLine = (error: unknown): string => {
  const text = error instanceof Error ? error.message : String(error);
  return (text.split("\n")[0] ?? "").slice(0, 300);
};

const tell = (text: string): void => {
  try {
    writeSync(2, text);
  } catch {
    // There is nobody left to tell it to.
  }
};

/** Tells an error that nobody caught, in three lines, and ends with exit code 2. */
export const endUncaught = (error: unknown, version: string): never => {
  tell(
    `internal error: ${firstLine(error)}\n  bake ${version}, Node.js ${process.version}, ${process.platform} ${process.arch}: bake ${process.argv[2] ?? ""}\n  Not a fault of your profile. BAKE_DEBUG=1 shows where it happened; please report it with that.\n`,
  );
  if ((process.env["BAKE_DEBUG"] ?? "") !== "" && error instanceof Error) tell(`${error.stack ?? ""}\n`);
  process.exit(2);
};

/**
 * From now on nothing ends in the text of a bundle. A reader that closes the pipe early, as `bake … | head` does, ends bake quietly.
 * @param version Of bake, for the message.
 */
export const installLastResort = (version: string): void => {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit();
      endUncaught(error, version);
    });
  }
  process.on("uncaughtException", (error) => endUncaught(error, version));
  process.on("unhandledRejection", (reason) => endUncaught(reason, version));
};
