/** What a pipeline rolls out, as the command line says it. Pure. */
import { BakeError } from "../errors.ts";

/** What is found when it is rolled out: nodes by a tag, an AS group, a single node; or nodes by their names, a step each. */
export type RolloutTarget = { readonly selector: string } | { readonly nodes: readonly string[] };

/** As ECS takes names, Chinese ones aside: they stand in a matrix, which is not quoted. */
const nodeName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** As AS takes names, and ECS. */
const groupName = /^[\p{L}\p{N}_][\p{L}\p{N}._-]{0,63}$/u;

/**
 * Reads what `--to` says: for all profiles, or behind the name of one and a colon. A text with `=` is a selector; one word
 * alone is the name of an AS group, or of a node; several are names of nodes, with commas between them.
 * @param names Of the profiles.
 * @throws BakeError BK461
 */
export const readTargets = (texts: readonly string[], names: readonly string[]): ReadonlyMap<string, RolloutTarget> => {
  const targets = new Map<string, RolloutTarget>();
  const refuse = (message: string): never => {
    throw new BakeError(
      "BK461",
      message,
      "--to TAG=VALUE, --to GROUP, --to NODE,NODE, or --to PROFILE:… where there are several profiles.",
    );
  };
  for (const text of texts) {
    const own = names.find((name) => text.startsWith(`${name}:`));
    const rest = own === undefined ? text : text.slice(own.length + 1);
    const isSelector = rest.includes("=");
    const words = isSelector ? [] : rest.split(",").map((each) => each.trim());
    if (isSelector ? !/^[^=]+=./s.test(rest) : words.includes("")) refuse(`--to ${JSON.stringify(text)} names nothing`);
    const isOne = words.length === 1;
    const wrong = words.find((each) => !(isOne ? groupName : nodeName).test(each));
    if (wrong !== undefined) {
      refuse(
        `${JSON.stringify(wrong)} is no name of a node or a group: letters, digits, ".", "_" and "-", or a tag with its value`,
      );
    }
    if (new Set(words).size < words.length) refuse(`--to ${JSON.stringify(text)} names a node twice`);
    for (const name of own === undefined ? names : [own]) {
      if (targets.has(name)) refuse(`--to says twice what ${name} is rolled out to`);
      // Whether one word means a group, the cloud knows: nobody is asked here.
      targets.set(name, isSelector || isOne ? { selector: isOne ? (words[0] ?? "") : rest } : { nodes: words });
    }
  }
  const all = [...targets.values()]
    .flatMap((target) => ("nodes" in target ? target.nodes : [target.selector]))
    .filter((each) => !each.includes("="));
  const twice = all.find((node, at) => all.indexOf(node) !== at);
  if (twice !== undefined) refuse(`${twice} would get the images of two profiles`);
  return targets;
};
