import { gitRewrites, type GitRewrite } from "../../profile/git-rewrites.ts";
import { spell } from "../../profile/source.ts";
import type { Problem, Rule } from "../../profile/rules/rule.ts";

/** git puts one in the place of the other and keeps the rest: what does not end a name has to end none there either. */
const endsProblem = ({ prefixes, via, at }: GitRewrite): Problem[] => {
  const wrong = prefixes.find(({ text }) => /[/:]$/.test(text) !== via.endsWith("/"));
  if (wrong === undefined) return [];
  const ended = /[/:]$/.test(wrong.text);
  const tail = ended ? "org/repo" : "/org/repo";
  return [
    {
      path: at,
      message: `${spell(at)} does not end as ${spell(wrong.at)} does`,
      label: `${wrong.text}${tail} would become ${via}${tail}`,
      help: `git puts one in the place of the other: write via: ${ended ? `${via}/` : via.replace(/\/+$/, "")}`,
    },
  ];
};

/** Rules that rewrite git's URLs: how they end, and that each beginning has one answer (guide row G13). */
export const gitProxyRule: Rule = {
  code: "BK128",
  reads: ["network.gitProxy", "network.gitRewrites"],
  find: (profile): Problem[] => {
    const rewrites = gitRewrites(profile);
    const all = rewrites.flatMap(({ prefixes }) => prefixes);
    return [
      ...rewrites.flatMap(endsProblem),
      ...all.flatMap(({ text, at }, index): Problem[] => {
        const first = all.findIndex((other) => other.text === text);
        return first === index
          ? []
          : [
              {
                path: at,
                message: `${text} is rewritten twice`,
                label: `${spell(all[first]?.at ?? [])} says it too`,
                help: "git takes the first rule that it reads: keep one",
              },
            ];
      }),
    ];
  },
};
