import type { Check } from "../node/check.ts";
import { toYaml } from "../formats/yaml.ts";

/**
 * A goss file. goss runs the text through Go's template engine before it reads the YAML, so `{{` is written as a
 * template that yields it.
 */
export const gossFile = (checks: readonly Check[]): string => {
  const spec: Record<string, Record<string, unknown>> = {};
  for (const { id, title, rows, resource } of checks) {
    const [type, key, attributes] = resource;
    spec[type] = { ...spec[type], [key]: { title, meta: { check: id, guide: rows.join(" ") }, ...attributes } };
  }
  return toYaml(spec).replaceAll("{{", "{{`{{`}}");
};
