/** Golden user-data of nodes, with the profile's secrets: it goes to the cloud alone. */
import { readFile, stat } from "node:fs/promises";
import { BakeError } from "../errors.ts";
import { readTemplates } from "../host/root.ts";
import type { Profile } from "../profile/schema.ts";
import { readSecrets } from "../profile/secret-values.ts";
import { instanceUserData, templateNames } from "../render/tree.ts";
import { planFor } from "./plan.ts";

/**
 * Reads the secrets once.
 * @returns what writes the user-data of a node, by its host name.
 * @throws BakeError BK601 when a secret cannot be had.
 */
export const goldenUserData = async (name: string, profile: Profile): Promise<(hostname: string) => string> => {
  const plan = planFor({ name, profile, trial: false });
  const templates = await readTemplates(templateNames(plan));
  const { values, problems } = await readSecrets(profile.secrets, {
    environment: process.env,
    readFile: async (path) => ({ text: await readFile(path, "utf8"), mode: (await stat(path)).mode }),
  });
  if (problems.length > 0) {
    throw new BakeError(
      "BK601",
      `secrets that the profile names cannot be had:\n  ${problems.join("\n  ")}`,
      "Nothing was changed. With --keep-user-data nodes keep what they were made with.",
    );
  }
  return (hostname) => instanceUserData(plan, templates, { ...values, authorizedKeys: [], environment: {}, hostname });
};
