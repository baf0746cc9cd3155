/** `bake user-data`: golden or stock user-data of one node, to standard output or to a file. */
import { chmod, lstat, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { BakeError } from "../errors.ts";
import { userDataLimit } from "../profile/user-data-limit.ts";
import { inForm, isBakeUserData, sizes, type UserDataForm } from "../render/user-data-forms.ts";
import { makeUserData, type NodeOptions, requireHostName } from "./node-user-data.ts";
import { readAsked } from "./planned.ts";
import { reportFailure } from "./profile-file.ts";
import { randomName } from "../host/random-name.ts";
import { printJson } from "./print-json.ts";

export interface UserDataOptions extends NodeOptions {
  readonly profile: string;
  readonly trial?: boolean;
  readonly format: UserDataForm;
  readonly output?: string;
  /** Tells about the file of `output`. */
  readonly json?: boolean;
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** Root-only, whole or not at all. Replaces nothing but user-data that bake made. */
const writePrivate = async (file: string, content: Buffer, home: string): Promise<void> => {
  const folder = await realpath(dirname(resolve(file))).catch((error: NodeJS.ErrnoException) => {
    throw new BakeError("BK603", `${file} cannot be written: ${error.message}`);
  });
  const out = await realpath(join(home, "out")).catch(() => resolve(home, "out"));
  if (folder === out || folder.startsWith(`${out}${sep}`)) {
    throw new BakeError(
      "BK603",
      `${file} lies in out/`,
      "out/ holds no secrets, so that it can be shared: write elsewhere.",
    );
  }
  const found = await lstat(file).catch(() => undefined);
  if (file === "-" || (found !== undefined && !found.isFile())) {
    throw new BakeError("BK603", `${file} is no regular file`, "Without --output it goes to standard output.");
  }
  const there =
    found === undefined
      ? undefined
      : await readFile(file).catch((error: NodeJS.ErrnoException) => {
          throw new BakeError("BK603", `${file} cannot be written: ${error.message}`);
        });
  if (there !== undefined && !isBakeUserData(there)) {
    throw new BakeError(
      "BK603",
      `${file} is there and is no user-data that bake made`,
      "Name another file, or remove it.",
    );
  }
  const fresh = join(dirname(file), `.bake-${randomName()}`);
  try {
    await writeFile(fresh, content, { mode: 0o600, flag: "wx" });
    await chmod(fresh, 0o600);
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw new BakeError("BK603", `${file} cannot be written: ${(error as Error).message}`);
  }
};

/** @returns the exit code. */
export const userData = async (options: UserDataOptions): Promise<number> => {
  try {
    if (options.format === "gzip" && options.output === undefined && process.stdout.isTTY) {
      throw new BakeError(
        "BK603",
        "a terminal cannot show gzip",
        "Give --output FILE, redirect it, or take --format base64.",
      );
    }
    if (options.node !== undefined) requireHostName(options.node);
    const asked = await readAsked(options);
    if (asked === undefined) return 1;
    const made = await makeUserData(asked, options);
    if (made === undefined) return 1;
    const { text, holdsSecrets, warnings } = made;
    const { plain, compressed } = sizes(text);
    const counted = options.format === "yaml" ? plain : compressed;
    if (counted > userDataLimit) {
      throw new BakeError(
        "BK602",
        `user-data has ${counted} bytes, Huawei Cloud takes ${userDataLimit}`,
        options.format === "yaml" && compressed <= userDataLimit
          ? `Take --format gzip or base64: ${compressed} bytes.`
          : "Fewer or shorter ssh keys make it smaller.",
      );
    }
    for (const warning of warnings) say(`warning: ${warning}`);
    const content = inForm(text, options.format);
    if (options.output === undefined) process.stdout.write(content);
    else await writePrivate(options.output, content, asked.file.home);
    if (options.json === true) {
      const { output, format, node } = options;
      const about = { output, format, ...(node !== undefined && { node }), plain, compressed, limit: userDataLimit };
      printJson({ ok: true, ...about, holdsSecrets, warnings });
      return 0;
    }
    say(
      `${options.output ?? "user-data"}: ${plain} bytes as text, ${compressed} as gzip; Huawei Cloud takes ${userDataLimit} before base64.${holdsSecrets ? " It holds secrets." : " It holds no secrets."}`,
    );
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
};
