/**
 * Rendered user-data, read as cloud-init reads it (YAML 1.1) and validated against what cloud-init takes of it. It is the last look
 * before a cloud gets it: a writer that let something through is found here, and told at the line of the profile that it came
 * from. Pure.
 */
import { parse } from "yaml";
import * as z from "zod";
import type { Problem } from "../profile/rules/rule.ts";
import type { ProfilePath } from "../profile/source.ts";

const line = z.string().regex(/^[^\0-\x1f]+$/, "must be one line of text");

/** The part of cloud-config that bake writes (cloud-init documentation: users and groups, write_files, runcmd, set hostname). */
const CloudConfig = z.strictObject({
  users: z
    .array(
      z.strictObject({
        name: line,
        lock_passwd: z.boolean().optional(),
        ssh_authorized_keys: z.array(line).min(1).optional(),
      }),
    )
    .min(1),
  disable_root: z.boolean().optional(),
  ssh_pwauth: z.boolean().optional(),
  hostname: line.optional(),
  fqdn: line.optional(),
  prefer_fqdn_over_hostname: z.boolean().optional(),
  preserve_hostname: z.boolean().optional(),
  write_files: z
    .array(
      z.strictObject({
        path: z.string().regex(/^\/[^\0-\x1f]+$/, "must be an absolute path"),
        permissions: z.string().regex(/^0[0-7]{3}$/, "must be a mode as text"),
        owner: line,
        content: z.string(),
      }),
    )
    .optional(),
  bootcmd: z.array(z.array(line).min(1)).optional(),
  runcmd: z.array(z.array(line).min(1)).optional(),
});

/** Where in the profile a part of user-data comes from, by JSON pointer; the longest that fits counts. */
export type Origins = ReadonlyMap<string, ProfilePath>;

const originOf = (origins: Origins, pointer: string): ProfilePath => {
  for (let at = pointer; ; at = at.slice(0, at.lastIndexOf("/"))) {
    const found = origins.get(at);
    if (found !== undefined) return found;
    if (!at.includes("/")) return [];
  }
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
  const parsed = CloudConfig.safeParse(value, { jitless: true });
  return (parsed.error?.issues ?? []).map(({ path, message }) => {
    const pointer = path.map((step) => `/${String(step)}`).join("");
    return problem(pointer, `${pointer === "" ? "user-data" : pointer}: ${message}`);
  });
};
