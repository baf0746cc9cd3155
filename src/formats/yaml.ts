/** YAML that PyYAML (YAML 1.1, as cloud-init and goss's readers see it) and YAML 1.2 readers agree on. ASCII only. */
import { Document, Scalar, visit } from "yaml";

/** Plain style is for strings that no YAML version reads as anything else. */
const plain = /^[A-Za-z_/][A-Za-z0-9_/.@%+-]*( [A-Za-z0-9_/.@%+-]+)*$/;
const looksTyped = /^(y|n|yes|no|on|off|true|false|null|~)$/i;

const canBeBlock = (text: string): boolean =>
  text.includes("\n") &&
  text.endsWith("\n") &&
  !text.endsWith("\n\n") &&
  !/^[ \n]/.test(text) &&
  !/ \n/.test(text) &&
  /^[\x20-\x7e\n]*$/.test(text);

const mergeTag = "tag:yaml.org,2002:merge";

/** Writes a value as a YAML document. */
export const toYaml = (value: unknown): string => {
  const document = new Document(value, {
    version: "1.1",
    aliasDuplicateObjects: false,
    // Else the text `<<` is written as a merge key, without quotes.
    customTags: (tags) => tags.filter((tag) => tag !== "merge" && !(typeof tag === "object" && tag.tag === mergeTag)),
  });
  visit(document, {
    Scalar(key, node) {
      if (typeof node.value !== "string") return;
      if (key !== "key" && canBeBlock(node.value)) node.type = Scalar.BLOCK_LITERAL;
      else node.type = plain.test(node.value) && !looksTyped.test(node.value) ? Scalar.PLAIN : Scalar.QUOTE_DOUBLE;
    },
  });
  return document
    .toString({ lineWidth: 0, directives: false, doubleQuotedMinMultiLineLength: 1e9 })
    .replace(/^%YAML 1\.1\n---\n/, "")
    .replace(/[^\n\x20-\x7e]/gu, (character) => {
      const code = character.codePointAt(0) ?? 0;
      return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
    });
};
