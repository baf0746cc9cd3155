/**
 * Rendered user-data, read as cloud-init reads it (YAML 1.1) and held against what cloud-init takes of it. It is the last look
 * before a cloud gets it: a writer that let something through is found here, and told at the line of the profile that it came
 * from. Pure.
 */
import { Ajv, type ErrorObject } from "ajv";
import { parse } from "yaml";
import type { Problem } from "../profile/rules/rule.ts";
import type { ProfilePath } from "../profile/source.ts";

const line = { type: "string", pattern: "^[^\\u0000-\\u001f]+$" };

/** The part of cloud-config that bake writes (cloud-init documentation: users and groups, write_files, runcmd, set hostname). */
const cloudConfig = {
  type: "object",
  additionalProperties: false,
  required: ["users"],
  properties: {
    users: {
      type: "array",
      minItems: 1,
      items: {
        type: "object",
        additionalProperties: false,
        required: ["name"],
        properties: {
          name: line,
          lock_passwd: { type: "boolean" },
          ssh_authorized_keys: { type: "array", minItems: 1, items: line },
        },
      },
    },
    disable_root: { type: "boolean" },
    ssh_pwauth: { type: "boolean" },
    hostname: line,
    fqdn: line,
    prefer_fqdn_over_hostname: { type: "boolean" },
    preserve_hostname: { type: "boolean" },
    write_files: {
      type: "array",
      items: {
        type: "object",
        additionalProperties: false,
        required: ["path", "permissions", "owner", "content"],
        properties: {
          path: { type: "string", pattern: "^/[^\\u0000-\\u001f]+$" },
          permissions: { type: "string", pattern: "^0[0-7]{3}$" },
          owner: line,
          content: { type: "string" },
        },
      },
    },
    runcmd: { type: "array", items: { type: "array", minItems: 1, items: line } },
  },
};

/** Where in the profile a part of user-data comes from, by JSON pointer; the longest that fits counts. */
export type Origins = ReadonlyMap<string, ProfilePath>;

const originOf = (origins: Origins, pointer: string): ProfilePath => {
  for (let at = pointer; ; at = at.slice(0, at.lastIndexOf("/"))) {
    const found = origins.get(at);
    if (found !== undefined) return found;
    if (!at.includes("/")) return [];
  }
};

const describe = ({ instancePath, message = "is wrong", params }: ErrorObject): string => {
  const extra = (params as { additionalProperty?: string }).additionalProperty;
  return `${instancePath === "" ? "user-data" : instancePath} ${message}${extra === undefined ? "" : `: ${extra}`}`;
};

/** Every problem of rendered user-data, where the profile says what it came from. Values are never repeated. */
export const reviewUserData = (text: string, origins: Origins): Problem[] => {
  const problem = (pointer: string, what: string): Problem => ({
    path: originOf(origins, pointer),
    message: `rendered user-data is not what cloud-init takes: ${what}`,
    help: "a fault of bake: tell its makers, with this message",
  });
  const wrong = /[^\t\n\x20-\x7e]/.exec(text);
  if (wrong !== null) return [problem("", `a character that is not ASCII, at ${wrong.index}`)];
  let value: unknown;
  try {
    value = parse(text, { version: "1.1", prettyErrors: false });
  } catch {
    return [problem("", "it is no YAML")];
  }
  const validate = new Ajv({ allErrors: true, strict: true }).compile(cloudConfig);
  return validate(value) ? [] : (validate.errors ?? []).map((error) => problem(error.instancePath, describe(error)));
};
