/** The writers that templates name, one a format. */
import { hclString } from "../formats/hcl.ts";
import { unitValue, unitWord } from "../formats/lines.ts";
import { toYaml } from "../formats/yaml.ts";

export const writers: Readonly<Record<string, (value: never) => string>> = {
  hcl: (value: string) => hclString(value),
  hclNumber: (value: number) => {
    if (!Number.isFinite(value)) throw new RangeError(`${String(value)} is not a number`);
    return String(value);
  },
  unit: (value: string) => unitValue(value),
  word: (value: string) => unitWord(value),
  /** A comment of one line, in any format whose comments start with `#`. */
  comment: (value: string) => value.replace(/[^\x20-\x7e]+/g, " "),
  /** A block of top-level YAML keys. */
  yaml: (value: object) => toYaml(value).trimEnd(),
};
