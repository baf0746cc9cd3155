/** What of a profile's text is never shown, in no frame and no message: secrets that somebody wrote into it. */
import { type Document, isAlias, isMap, isNode, isScalar, isSeq, type Node, visit } from "yaml";
import { findSecretShapes, looksSecret } from "../secrets/shapes.ts";
import { isSecretName } from "../secrets/names.ts";
import { nameWord } from "../secrets/table.ts";
import { Profile } from "./schema.ts";

type Range = readonly [start: number, end: number];

const keyOf = (pair: unknown): string =>
  typeof pair === "object" && pair !== null && "key" in pair && isScalar(pair.key) ? String(pair.key.value) : "";

/** The keys that say where a secret is. */
const placeKeys = ["file", "env", "csms"];

/** The only keys below `secrets.<name>`, and what their values look like when they are no secrets themselves. */
const sourceShapes: ReadonlyMap<string, RegExp> = new Map([
  // A path or a short name; 32 letters and digits in a row are an old token.
  ["file", /^(?![A-Za-z0-9]{32,}$)[~./]?[A-Za-z0-9._/-]*$/],
  ["env", /^[A-Z_][A-Z0-9_]*$/],
  ["csms", /^(?![A-Za-z0-9]{32,}$)[A-Za-z0-9_.-]{1,64}$/],
  ["field", /^[A-Za-z_.-]{1,32}$/],
  ["region", /^[a-z]+(-[a-z0-9]+){1,4}$/],
  ["endpoint", /^https:\/\/[A-Za-z0-9.:-]+$/],
]);

/** Below a misspelt key. */
const path = /^(?:~|\.{1,2})?\/[A-Za-z0-9._/-]*$/;

const isSource = (key: string, value: unknown): boolean =>
  typeof value === "string" && (sourceShapes.get(key) ?? path).test(value) && !looksSecret(value);

/** The other keys that a profile can begin a line with. */
const otherSections = ["extends", ...Object.keys(Profile.shape)].filter((key) => key !== "secrets");

/** A key at the beginning of a line, in quotes too. */
const keyLine = (names: string): string => `["']?(?:${names})["']?[ \\t]*:`;

/** In a document that does not parse: from `secrets:` to the next key of the profile, or to the end. */
const secretsPart = new RegExp(
  `^${keyLine("secrets")}[\\s\\S]*?(?=^${keyLine(otherSections.join("|"))}|(?![\\s\\S]))`,
  "gm",
);

/** What may be shown there. */
const words = new Set(["secrets", ...Object.keys(Profile.shape.secrets.shape), ...placeKeys]);

/** Names in any spelling, also where no secret belongs: too much is hidden rather than too little. */
const secretKey = new RegExp(`${nameWord}|passw|(?:^|_)pass$|pwd$`, "i");

/** `none`, a path, a number of few digits: what settings say whose names sound like secrets. */
const isWhere = (node: Node): boolean =>
  isScalar(node) &&
  (node.value === null || typeof node.value === "boolean" || (typeof node.value === "string" && path.test(node.value)));

/** `ssh.nodeKey: dsa`: a kind, and no key. */
const isKindOfKey = (node: unknown): boolean =>
  isScalar(node) && typeof node.value === "string" && /^[a-z]{1,8}(?:-?[a-z0-9]{1,8})?$/i.test(node.value);

/** A key below `secrets.<name>`: one of those, or a misspelt one. */
const isWord = (key: string): boolean => /^[A-Za-z]{1,16}$/.test(key);

/** Where `files` are from. */
const isFileUrl = (key: string): boolean => key === "url" || key === "checksums";

/**
 * Where secrets lie in a profile's text, as offsets from and to, by where they begin; they may overlap. Pure.
 * @param document The text as parsed, with errors or without.
 */
export const hiddenRanges = (document: Document, text: string): Range[] => {
  const found: Range[] = [...findSecretShapes(text)];
  /** A tag or an anchor stands before the node: `!Passw0rd` is one to YAML. */
  const hideBefore = (node: Node | null | undefined): void => {
    if (!node?.range) return;
    const line = text.lastIndexOf("\n", node.range[0] - 1) + 1;
    const before = /[&!]\S*\s*(?:[&!]\S*\s*)?$/.exec(text.slice(line, node.range[0]));
    if (before !== null) found.push([node.range[0] - before[0].length, node.range[0]]);
  };
  const hide = (node: Node | null | undefined): void => {
    if (!node?.range) return;
    hideBefore(node);
    found.push([node.range[0], node.range[1]]);
    // Where it was written.
    if (isAlias(node)) hide(node.resolve(document));
  };
  /** It may be a signature. */
  const hideQuery = ({ range }: Node): void => {
    if (!range) return;
    const query = text.slice(range[0], range[1]).indexOf("?") + 1;
    if (query > 0) found.push([range[0] + query, range[1]]);
  };
  const root = document.contents;
  const secrets = isMap(root) ? root.items.find((pair) => keyOf(pair) === "secrets")?.value : undefined;
  if (isMap(secrets)) {
    for (const { value } of secrets.items) {
      if (isMap(value)) {
        for (const pair of value.items) {
          if (!isWord(keyOf(pair)) && isNode(pair.key)) hide(pair.key);
          if (!isScalar(pair.value) || !isSource(keyOf(pair), pair.value.value))
            hide(isNode(pair.value) ? pair.value : null);
          else hideBefore(pair.value);
        }
      } else hide(isNode(value) ? value : null);
    }
  } else hide(isNode(secrets) ? secrets : null);
  visit(document, {
    Pair: (_key, pair, above) => {
      const key = keyOf(pair);
      if (key === "nodeKey" && keyOf(above.at(-2)) === "ssh" && isKindOfKey(pair.value)) return;
      // A map below one of the profile's own is looked at above; below another name it is somebody's secret.
      const named = isSecretName(key) || (secretKey.test(key) && !words.has(key));
      const own = words.has(key) && (isScalar(pair.value) || isSeq(pair.value));
      if ((named || own) && key !== "secrets" && isNode(pair.value) && !isWhere(pair.value)) hide(pair.value);
      if (isFileUrl(key) && isScalar(pair.value)) hideQuery(pair.value);
    },
  });
  if (document.errors.length > 0) {
    // What follows a name that holds secrets, to the end of its line.
    for (const match of text.matchAll(/^[ \t-]*["']?([A-Za-z_][A-Za-z0-9_-]*)["']?[ \t]*[:=][ \t]*(\S[^\r\n]*)$/gm)) {
      const [whole, key = "", value = ""] = match;
      if (!words.has(key) && (isSecretName(key) || secretKey.test(key))) {
        found.push([match.index + whole.length - value.length, match.index + whole.length]);
      }
    }
    for (const part of text.matchAll(secretsPart)) {
      for (const word of part[0].matchAll(/[^\s:{}[\],]+/g)) {
        const start = part.index + word.index;
        if (!words.has(word[0].replace(/^["']|["']$/g, ""))) found.push([start, start + word[0].length]);
      }
    }
  }
  return found.toSorted((a, b) => a[0] - b[0]);
};
