import { looksSecret } from "../../secrets/shapes.ts";
import { isSecretName, saysWhere } from "../../secrets/names.ts";
import { spell } from "../source.ts";
import type { Problem, Rule } from "./rule.ts";
import { textsOf } from "./values.ts";

/** A path says where a secret lies; a number of few digits or a switch is none, whatever its name sounds like. */
const isHarmless = (text: string): boolean => saysWhere(text) || /^(\d{1,6}|true|false|yes|no|on|off)$/i.test(text);

/** A profile lies in a repository, and what is rendered from it in out/ and in the image: no secret belongs there. */
export const plainSecrets: Rule = {
  code: "BK118",
  reads: "each by itself",
  find: (profile) => {
    const named = [...Object.entries(profile.agents.environment), ...Object.entries(profile.agents.settings)].flatMap(
      ([name, value]) =>
        isSecretName(name) && typeof value === "string" && value.trim() !== "" && !isHarmless(value) ? [name] : [],
    );
    return textsOf(profile).flatMap(({ path, text }): Problem[] => {
      // For everybody to read; a line of one may look like anything.
      if (path[1] === "caCertificates" && !text.includes("PRIVATE KEY")) return [];
      const key = String(path.at(-1));
      const byName =
        path[0] === "agents" && (path[1] === "environment" || path[1] === "settings") && named.includes(key);
      // An old token has no shape but its length; no path has it without a slash or a dot.
      const oldToken = path[0] === "secrets" && /^[A-Za-z0-9]{32,}$/.test(text);
      if (!byName && !oldToken && !looksSecret(text)) return [];
      return [
        {
          path,
          message: `${spell(path)} holds a secret`,
          label: byName ? "its name says so" : "it looks like a token, a key or a password",
          help:
            path[0] === "secrets"
              ? `write where it comes from: ${String(path[1])}: { file: /path/to/it } or { env: VARIABLE }; then make a new one, this one was written down`
              : "remove it, and make a new one, this one was written down; secrets reach a node as docs/secrets.md says",
        },
      ];
    });
  },
};
