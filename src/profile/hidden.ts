/** What of a profile's text is never shown, in no frame and no message: secrets that somebody wrote into it. */
import { type Document, isMap, isNode, isScalar, isSeq, type Node, visit } from "yaml";
import { findSecretShapes, looksSecret } from "../secret-shapes.ts";
import { isSecretName } from "../secret-names.ts";

type Range = readonly [start: number, end: number];

const keyOf = (pair: unknown): string =>
  typeof pair === "object" && pair !== null && "key" in pair && isScalar(pair.key) ? String(pair.key.value) : "";

/** The only keys below `secrets.<name>`, and what their values look like when they are no secrets themselves. */
const sourceShapes: Readonly<Record<string, RegExp>> = {
  file: /^[~./]?[A-Za-z0-9._/-]*$/,
  env: /^[A-Z_][A-Z0-9_]*$/,
};

/** Below a misspelt key. */
const path = /^(?:~|\.{1,2})?\/[A-Za-z0-9._/-]*$/;

const isSource = (key: string, value: unknown): boolean =>
  typeof value === "string" && (sourceShapes[key] ?? path).test(value) && !looksSecret(value);

/** In a document that does not parse: from `secrets:` to the next key of the profile, or to the end. */
const secretsPart =
  /^secrets[ \t]*:[\s\S]*?(?=^(?:agents|buildx|builders|checks|docker|extends|images|network|ssh|storage|targets)[ \t]*:|(?![\s\S]))/gm;

/** What may be shown there. */
const words = new Set(["secrets", "agentToken", "gitToken", "proxyCredentials", "nodeKey", "file", "env"]);

/** Names in any spelling, also where no secret belongs: too much is hidden rather than too little. */
const secretKey = /token|secret|passw|passphrase|credential|(?:^|_)pass$|pwd$|api[-_]?key|private[-_]?key/i;

/** `none`, a path, a number of few digits: what settings say whose names sound like secrets. */
const isWhere = (node: Node): boolean =>
  isScalar(node) &&
  (node.value === null || typeof node.value === "boolean" || (typeof node.value === "string" && path.test(node.value)));

/** A key below `secrets.<name>` that is neither of the two, nor a misspelt one. */
const isWord = (key: string): boolean => /^[A-Za-z]{1,16}$/.test(key);

export const hiddenRanges = (document: Document, text: string): Range[] => {
  const found: Range[] = [...findSecretShapes(text)];
  const hide = (node: Node | null | undefined): void => {
    if (node?.range) found.push([node.range[0], node.range[1]]);
  };
  const root = document.contents;
  const secrets = isMap(root) ? root.items.find((pair) => keyOf(pair) === "secrets")?.value : undefined;
  if (isScalar(secrets)) hide(secrets);
  else if (isMap(secrets)) {
    for (const { value } of secrets.items) {
      if (isScalar(value)) hide(value);
      else if (isMap(value)) {
        for (const pair of value.items) {
          if (!isWord(keyOf(pair)) && isNode(pair.key)) hide(pair.key);
          if (!isScalar(pair.value) || !isSource(keyOf(pair), pair.value.value))
            hide(isNode(pair.value) ? pair.value : null);
        }
      } else if (isNode(value)) hide(value);
    }
  }
  visit(document, {
    Pair: (_key, pair) => {
      const named = isSecretName(keyOf(pair)) || secretKey.test(keyOf(pair));
      if (named && (isScalar(pair.value) || isSeq(pair.value)) && !isWhere(pair.value)) hide(pair.value);
    },
  });
  if (document.errors.length > 0) {
    for (const part of text.matchAll(secretsPart)) {
      for (const word of part[0].matchAll(/[^\s:{}[\],]+/g)) {
        const start = part.index + word.index;
        if (!words.has(word[0])) found.push([start, start + word[0].length]);
      }
    }
  }
  return found.toSorted((a, b) => a[0] - b[0]);
};
