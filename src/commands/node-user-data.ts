/** Makes the user-data of one node, for `bake user-data` and `bake ecs create`: the only place where the profile's secrets are read to be written. */
import { readFile, stat } from "node:fs/promises";
import { BakeError } from "../errors.ts";
import { planFor } from "./plan.ts";
import { isPublicKey, type Profile } from "../profile/schema.ts";
import { readSecrets, type SecretValues } from "../profile/secret-values.ts";
import { instanceUserData, templateNames } from "../render/tree.ts";
import { stockInstanceUserData, stockTemplateNames } from "../render/stock.ts";
import type { Instance } from "../node/concern.ts";
import { userDataOrigins } from "../render/user-data.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { withoutSecretShapes } from "../secrets/shapes.ts";
import { readTemplates } from "../host/root.ts";
import { makeHost, storeOf } from "./host.ts";
import { type Asked, planAsked, reportReview, stockTarget } from "./planned.ts";

export interface NodeOptions {
  /** The node's host name; undefined: the cloud's name for the server. */
  readonly node?: string;
  readonly authorizedKey: readonly string[];
  /** Key pair of the cloud that the server is made with: a way in besides the keys here. */
  readonly keyPair?: string;
  readonly npus: boolean;
  /** For a stock image: it becomes the node, from a mirror. */
  readonly stock?: boolean;
  readonly mirror?: string;
}

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

/** @throws BakeError BK604 for what cannot be a host name. Pure. */
export const requireHostName = (name: string): void => {
  if (hostLabel.test(name)) return;
  throw new BakeError(
    "BK604",
    `${JSON.stringify(name)} cannot be a host name`,
    "Small letters, digits and -, 63 at most, without a domain: agents' names begin with it.",
  );
};

interface Writing {
  readonly plan: NodePlan;
  readonly write: (instance: Instance) => string;
}

const goldenOf = async ({ file: { name }, profile, trial }: Asked): Promise<Writing> => {
  const plan = planFor({ name, profile, trial });
  const templates = readTemplates(templateNames(plan));
  return { plan, write: (instance) => instanceUserData(plan, templates, instance) };
};

/** What the user-data of a stock image can hold. A host may be an IPv6 address, in brackets. */
const mirrorUrl = /^https?:\/\/(?:\[[0-9A-Fa-f:.]+\])?[!$%&(-;=A-Z_a-z~]*$/;

/** The node's files are named by their digest, so a lock must be there. @throws BakeError BK204, BK605 */
const stockOf = async (asked: Asked, given: string | undefined): Promise<Writing> => {
  const mirror = given ?? asked.profile.targets.huaweicloud?.mirror;
  if (mirror === undefined || !mirrorUrl.test(mirror) || !URL.canParse(mirror)) {
    throw new BakeError(
      "BK605",
      mirror === undefined
        ? "a stock image becomes a node from a mirror, and none is named"
        : `${JSON.stringify(withoutSecretShapes(mirror))} is no mirror's URL: http or https, without a user, ? and #`,
      [
        `1. bake fetch --profile ${asked.file.name} --to FOLDER makes one: a folder for any web server that the host reaches.`,
        `2. bake user-data --profile ${asked.file.name} --stock --mirror http://SERVER/PATH; or targets.huaweicloud.mirror in the profile.`,
        "Without --stock user-data is for a golden image, which needs no mirror.",
      ].join("\n"),
    );
  }
  if (!asked.trial && asked.lock === undefined) {
    throw new BakeError("BK204", `${asked.file.file} has no lock`, "Make one: bake lock.");
  }
  const { host } = await makeHost(process.stderr);
  const { plan, templates, ...rendered } = await planAsked(host, storeOf(host), asked, stockTarget(asked));
  const all = { ...templates, ...readTemplates(stockTemplateNames) };
  return { plan, write: (instance) => stockInstanceUserData(plan, all, instance, { mirror, rendered }) };
};

export interface NodeUserData {
  /** Holds secrets where `holdsSecrets` says so: for the cloud, or a file that only its owner reads. */
  readonly text: string;
  readonly holdsSecrets: boolean;
  /** For people; none of them has a secret. */
  readonly warnings: readonly string[];
}

/** @throws BakeError BK601 when one cannot be had. */
const secretsOf = async ({ secrets }: Profile): Promise<Pick<SecretValues, "values" | "warnings">> => {
  const { values, problems, warnings } = await readSecrets(secrets, {
    environment: process.env,
    readFile: async (path) => ({ text: await readFile(path, "utf8"), mode: (await stat(path)).mode }),
  });
  if (problems.length === 0) return { values, warnings };
  throw new BakeError(
    "BK601",
    `secrets that the profile names cannot be had:\n  ${problems.join("\n  ")}`,
    "Nothing was written or changed.",
  );
};

/**
 * Reads the profile's secrets once, for the golden user-data of many nodes.
 * @returns what writes that of a node, by its host name, or, without one, that of any; undefined after problems of the profile were printed.
 * @throws BakeError BK601
 */
export const goldenUserData = async (
  asked: Asked,
): Promise<{ readonly write: (hostname?: string) => string; readonly warnings: readonly string[] } | undefined> => {
  const { plan, write } = await goldenOf(asked);
  const { values, warnings } = await secretsOf(asked.profile);
  const instanceOf = (hostname?: string): Instance => ({
    ...values,
    authorizedKeys: [],
    environment: {},
    ...(hostname !== undefined && { hostname }),
  });
  // That of one node is like those of all.
  const sample = instanceOf("node");
  if (await reportReview(asked.file, write(sample), userDataOrigins(plan, sample))) return undefined;
  return {
    write: (hostname) => write(instanceOf(hostname)),
    warnings: [
      ...warnings,
      ...(plan.loginKeys.length === 0
        ? [
            "nodes let nobody log in: ssh.operatorKeys is empty, and the key pairs that they were made with go with their old system.",
          ]
        : []),
    ],
  };
};

/**
 * Reads the profile's secrets, and writes the user-data of one node with them.
 * @returns undefined after problems of the profile were printed.
 * @throws BakeError BK204, BK601, BK604, BK605
 */
export const makeUserData = async (asked: Asked, options: NodeOptions): Promise<NodeUserData | undefined> => {
  const { plan, write } = options.stock === true ? await stockOf(asked, options.mirror) : await goldenOf(asked);
  const { values, warnings } = await secretsOf(asked.profile);
  const instance: Instance = {
    ...values,
    authorizedKeys: await readKeys(options.authorizedKey),
    environment: options.npus ? {} : { BAKE_ABSENT: "npu" },
    ...(options.node !== undefined && { hostname: options.node }),
  };
  const text = write(instance);
  if (await reportReview(asked.file, text, userDataOrigins(plan, instance))) return undefined;
  const shutOut = plan.loginKeys.length + instance.authorizedKeys.length === 0 && options.keyPair === undefined;
  return {
    text,
    holdsSecrets: Object.keys(values).length > 0,
    warnings: [
      ...warnings,
      ...(shutOut
        ? [
            "this user-data lets nobody log in: ssh.operatorKeys is empty and there is no --authorized-key. Without a key pair that the server is made with, there is no way in.",
          ]
        : []),
    ],
  };
};
