/** `bake user-data`: golden or stock user-data of one node, the only place where the profile's secrets are read to be written. */
import { chmod, lstat, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { BakeError } from "../errors.ts";
import { planFor } from "./plan.ts";
import { isPublicKey } from "../profile/schema.ts";
import { readSecrets } from "../profile/secret-values.ts";
import { userDataLimit } from "../profile/user-data-limit.ts";
import { instanceUserData, templateNames } from "../render/tree.ts";
import { stockInstanceUserData, stockTemplateNames } from "../render/stock.ts";
import type { Instance } from "../node/concern.ts";
import { userDataOrigins } from "../render/user-data.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { inForm, isBakeUserData, sizes, type UserDataForm } from "../render/user-data-forms.ts";
import { withoutSecretShapes } from "../secrets/shapes.ts";
import { readTemplates } from "../host/root.ts";
import { makeHost, storeOf } from "./host.ts";
import { type Asked, planAsked, readAsked, reportReview, stockTarget } from "./planned.ts";
import { reportFailure } from "./profile-file.ts";
import { randomName } from "../host/random-name.ts";

export interface UserDataOptions {
  readonly profile: string;
  readonly trial?: boolean;
  readonly node?: string;
  readonly format: UserDataForm;
  readonly output?: string;
  readonly authorizedKey: readonly string[];
  readonly npus: boolean;
  /** For a stock image: it becomes the node, from a mirror. */
  readonly stock?: boolean;
  readonly mirror?: string;
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** A label of a host name: agents' names begin with it. */
const hostLabel = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

const readKeys = async (files: readonly string[]): Promise<string[]> =>
  (
    await Promise.all(
      files.map(async (file) => {
        const text = await readFile(file, "utf8").catch((error: unknown) => {
          throw new BakeError("BK604", `${file} cannot be read: ${(error as Error).message}`);
        });
        const keys = text
          .split("\n")
          .map((line) => line.trim())
          .filter((line) => line !== "" && !line.startsWith("#"));
        if (keys.length === 0 || keys.some((key) => !isPublicKey(key))) {
          throw new BakeError(
            "BK604",
            `${file} holds no public keys as in authorized_keys`,
            "Name the .pub file, never the private key; options before the key belong to the host.",
          );
        }
        return keys;
      }),
    )
  ).flat();

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

interface Writing {
  readonly plan: NodePlan;
  readonly write: (instance: Instance) => string;
}

const goldenOf = async ({ file: { name }, profile, trial }: Asked): Promise<Writing> => {
  const plan = planFor({ name, profile, trial });
  const templates = await readTemplates(templateNames(plan));
  return { plan, write: (instance) => instanceUserData(plan, templates, instance) };
};

/** The node's files are named by their digest, so a lock must be there. @throws BakeError BK204, BK605 */
const stockOf = async (asked: Asked, given: string | undefined): Promise<Writing> => {
  const mirror = given ?? asked.profile.targets.huaweicloud?.mirror;
  if (mirror === undefined || !/^https?:\/\/[!$%&(-;=A-Z_a-z~]+$/.test(mirror)) {
    throw new BakeError(
      "BK605",
      mirror === undefined
        ? "a stock image becomes a node from a mirror, and none is named"
        : `${JSON.stringify(withoutSecretShapes(mirror))} is no mirror's URL`,
      "Give --mirror http://host/path, or targets.huaweicloud.mirror. bake fetch --to makes a mirror.",
    );
  }
  if (!asked.trial && asked.lock === undefined) {
    throw new BakeError("BK204", `${asked.file.file} has no lock`, "Make one: bake lock.");
  }
  const { host } = await makeHost(process.stderr);
  const { plan, templates, ...rendered } = await planAsked(host, storeOf(host), asked, stockTarget(asked));
  const all = { ...templates, ...(await readTemplates(stockTemplateNames)) };
  return { plan, write: (instance) => stockInstanceUserData(plan, all, instance, { mirror, rendered }) };
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
    if (options.node !== undefined && !hostLabel.test(options.node)) {
      throw new BakeError(
        "BK604",
        `${JSON.stringify(options.node)} cannot be a host name`,
        "Small letters, digits and -, 63 at most, without a domain: agents' names begin with it.",
      );
    }
    const asked = await readAsked(options);
    if (asked === undefined) return 1;
    const { plan, write } = options.stock === true ? await stockOf(asked, options.mirror) : await goldenOf(asked);
    const { values, problems, warnings } = await readSecrets(asked.profile.secrets, {
      environment: process.env,
      readFile: async (path) => ({ text: await readFile(path, "utf8"), mode: (await stat(path)).mode }),
    });
    if (problems.length > 0) {
      throw new BakeError(
        "BK601",
        `secrets that the profile names cannot be had:\n  ${problems.join("\n  ")}`,
        "Nothing was written.",
      );
    }
    const instance: Instance = {
      ...values,
      authorizedKeys: await readKeys(options.authorizedKey),
      environment: options.npus ? {} : { BAKE_ABSENT: "npu" },
      ...(options.node !== undefined && { hostname: options.node }),
    };
    const text = write(instance);
    if (await reportReview(asked.file, text, userDataOrigins(plan, instance))) return 1;
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
    if (plan.loginKeys.length + instance.authorizedKeys.length === 0) {
      say(
        "warning: this user-data lets nobody log in: ssh.operatorKeys is empty and there is no --authorized-key. Without a key pair that the server is made with, there is no way in.",
      );
    }
    const content = inForm(text, options.format);
    if (options.output === undefined) process.stdout.write(content);
    else await writePrivate(options.output, content, asked.file.home);
    say(
      `${options.output ?? "user-data"}: ${plain} bytes as text, ${compressed} as gzip; Huawei Cloud takes ${userDataLimit} before base64.${Object.keys(values).length > 0 ? " It holds secrets." : " It holds no secrets."}`,
    );
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
};
