/** cloud-init's own schema of cloud-config, for tests. */
import { readFileSync } from "node:fs";
import addFormats from "ajv-formats";
import Ajv from "ajv-draft-04";
import { toolPath } from "./needs.ts";

/** @returns what is wrong with a parsed cloud-config, as text; empty when it is right. */
export const cloudConfigProblems = (config: unknown): string => {
  // Debian's cloud-init package, unpacked into the cache: draft-04 with newer keywords.
  const ajv = new Ajv.default({ strict: false, allErrors: true, logger: false });
  addFormats.default(ajv);
  const validate = ajv.compile(JSON.parse(readFileSync(toolPath("cloud-init's schema"), "utf8")) as object);
  return validate(config) ? "" : JSON.stringify(validate.errors);
};
