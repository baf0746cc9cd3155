import { tokenPlaceholder } from "../../secrets/table.ts";
import { spell } from "../source.ts";
import type { Rule } from "./rule.ts";
import { textsOf } from "./values.ts";

const isTokenPlaceholder = new RegExp(`^${tokenPlaceholder}$`, "i");

const isPlaceholder = (text: string): boolean =>
  /^<[^>]*>$/.test(text) ||
  /^#(?![0-9A-Fa-f]{3,8}$)/.test(text) ||
  /^(TODO|FIXME)$/.test(text) ||
  /^(replace|change)[ _-]?(me|this)$|^your[ _-](token|ip|host|key|proxy|queue)$/i.test(text) ||
  /\breplace with\b/i.test(text) ||
  // 172.22.0.xx
  /^\d{1,3}(\.(\d{1,3}|x{1,3})){2}\.x{1,3}$/i.test(text) ||
  isTokenPlaceholder.test(text);

/** What a copied guide or an example leaves to fill in (S11), and variables that are set to nothing. */
export const placeholders: Rule = {
  code: "BK123",
  reads: "each by itself",
  find: (profile) => [
    ...textsOf(profile).flatMap(({ path, text }) =>
      isPlaceholder(text)
        ? [
            {
              path,
              message: `${spell(path)} is a placeholder`,
              label: "to be filled in",
              help: "write the value, or remove the line",
            },
          ]
        : [],
    ),
    ...Object.entries(profile.agents.environment).flatMap(([name, text]) =>
      text.trim() === ""
        ? [
            {
              path: ["agents", "environment", name],
              message: `agents.environment.${name} is empty`,
              label: "jobs would find it set to nothing",
              help: "write the value, or remove the line",
            },
          ]
        : [],
    ),
  ],
};
