/** docs/profile.md: how profiles extend each other, and every setting, from the schema. */
import * as z from "zod";
import { Profile } from "../../src/profile/schema.ts";

type Schema = Readonly<Record<string, unknown>>;

const asSchema = (value: unknown): Schema | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Schema) : undefined;

const code = (value: unknown): string => `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;

const typeOf = (schema: Schema): string => {
  const list = schema["anyOf"];
  if (Array.isArray(list)) return list.map((each) => typeOf(each as Schema)).join(" or ");
  if (Array.isArray(schema["enum"])) return schema["enum"].map((each) => code(each)).join(", ");
  if (schema["type"] === "array") return `list of ${typeOf(asSchema(schema["items"]) ?? {})}`;
  if (schema["type"] === "object") {
    const keys = Object.keys(asSchema(schema["properties"]) ?? {});
    return keys.length > 0 ? `\`{ ${keys.join(", ")} }\`` : "map";
  }
  if (schema["type"] === "integer") {
    const { minimum, maximum } = schema as { minimum?: number; maximum?: number };
    const limited = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
    const low = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? minimum : undefined;
    return low === undefined ? "number" : limited ? `number, ${low} to ${maximum}` : `number, ${low} or more`;
  }
  return schema["type"] === "boolean" ? "`true`, `false`" : "text";
};

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "&lt;").replaceAll("\n", " ");

interface Row {
  readonly path: string;
  readonly type: string;
  readonly otherwise: string;
  readonly description: string;
}

const rowsOf = (schema: Schema, path: string, required: boolean): Row[] => {
  const description = typeof schema["description"] === "string" ? schema["description"] : "";
  const otherwise = "default" in schema ? code(schema["default"]) : required ? "required" : "";
  const forms = Array.isArray(schema["anyOf"]) ? (schema["anyOf"] as Schema[]) : [schema];
  const below = forms.flatMap((form) => {
    const item = form["type"] === "array" ? asSchema(form["items"]) : form;
    const prefix = form["type"] === "array" ? `${path}[]` : path;
    const needs = forms.length > 1 ? [] : Array.isArray(item?.["required"]) ? (item["required"] as string[]) : [];
    return Object.entries(asSchema(item?.["properties"]) ?? {}).flatMap(([key, child]) =>
      rowsOf(child as Schema, `${prefix}.${key}`, needs.includes(key)),
    );
  });
  return [
    {
      path,
      type: typeOf(schema),
      otherwise: below.length > 0 && schema["type"] !== "array" && "default" in schema ? "" : otherwise,
      description,
    },
    ...below,
  ];
};

export const profilePage = (): string => {
  const schema = z.toJSONSchema(Profile, { io: "input" }) as Schema;
  const required = schema["required"] as string[];
  const sections = Object.entries(asSchema(schema["properties"]) ?? {}).map(([key, child]) => {
    const [head, ...rows] = rowsOf(child as Schema, key, required.includes(key));
    const shown = rows.length > 0 ? rows : head === undefined ? [] : [head];
    const table = shown.map(
      ({ path, type, otherwise, description }) =>
        `| \`${path}\` | ${cell(type)} | ${cell(otherwise)} | ${cell(description)} |`,
    );
    const words = rows.length > 0 ? `${head?.description ?? ""}\n\n` : "";
    return `### ${key}\n\n${words}| setting | type | default | |\n|---|---|---|---|\n${table.join("\n")}\n`;
  });
  return `# Profiles

A profile is one YAML file that says what a node is. \`bake validate --profile NAME\` shows every problem with its line;
\`bake validate --profile NAME --explain\` shows every value, where it was set, and what follows from it; \`--explain agents.spawn\` (or
\`storage\`) shows one setting with its description. [errors.md](errors.md) explains the codes.

## A new profile

\`bake init site\` asks a few questions (or takes options: \`bake init --help\`) and writes \`profiles/site.yaml\`, with comments. With
\`--from-host root@node\` it reads what a host set up by hand has: versions, agents, data disk, PyPI cache, git proxy, images. It reads
by ssh as \`bake check --host\` does, changes nothing there, and asks for no secret; what it did not find, replaced by a
verified version, or cannot carry over, it says ([hosts.md](hosts.md)).

Another division of the NPUs is three lines over what all hosts share:

    # profiles/4cards.yaml
    extends: ./ascend.yaml

    agents: { spawn: 2, cards: 4 }

Agents' names, builders, caches and devices follow from these two numbers. bake brings [1card](../profiles/1card.yaml),
[2cards](../profiles/2cards.yaml), [4cards](../profiles/4cards.yaml) and [8cards](../profiles/8cards.yaml) over
[ascend](../profiles/ascend.yaml). Your site's own values belong into a file of yours, found by name in \`profiles/\` of the folder where
bake runs. It can extend one of bake's by name, \`extends: 2cards\`, but then takes its values of another site too: look at
\`--explain\`.

With \`# yaml-language-server: $schema=...\` as first line, editors complete and check the profile by
[schema/profile.schema.json](../schema/profile.schema.json); bake's own profiles have that line.

## extends

\`extends: ./ascend.yaml\` takes everything from that file, relative to the profile that says so, and the profile's own values go over it.
A name without \`/\` and ending is that profile beside it, else bake's own of that name.

- Maps merge, key by key. Everything else replaces, lists too.
- A list changes by \`{ append: [...], remove: [...] }\` instead of a list.
- A key without a value (\`pypiCache:\` or \`pypiCache: ~\`) takes away what the extended profile says; a default comes back.
- Where forms exclude each other, such as \`{ blank: nvme }\` and \`{ adopt: UUID=... }\`, the nearer one replaces the other.
- The extended file may extend another one. Paths in each (\`file: ...\`) are meant from the file that they stand in.

Problems point at the file that set the value, with a note on who extended it.

## A site's own authorities, files and git rules

    # profiles/site.yaml
    network:
      caCertificates: [ { from: site-ca.pem } ]
      gitProxy: { for: https://github.com/, via: https://git-proxy.example.com/https://github.com/ }
      gitRewrites:
        - { for: ["git@github.com:", ssh://git@github.com/], via: https://git-proxy.example.com/https://github.com/ }
        - { for: [https://gitee.com/], via: https://git-proxy.example.com/https://gitee.com/ }
    files:
      - { from: files/pre-command, path: /root/.buildkite-agent/hooks/pre-command, mode: "0755" }
      - { from: files/site.repo, path: /etc/yum.repos.d/site.repo }

- A certificate of \`network.caCertificates\` is trusted by all that [hosts.md](hosts.md#a-sites-own-certificate-authorities) lists; nothing
  else is to be done for it. Laid down by \`files\` it would be trusted by nobody.
- \`from\` is a file of the machine that bakes, relative to the profile that names it, 1 MiB at most, text or not. It is read with the
  profile: its bytes lie in \`out/\` and in the image, and its digest is a part of the bake id. So no secret belongs into it, and what
  looks like one is refused (BK118); [secrets.md](secrets.md) says how those get to a node. What is larger is served, and named by \`url\`.
- Repositories and keys of packages (\`/etc/yum.repos.d\`, \`/etc/pki/rpm-gpg\`, \`/etc/apt/sources.list.d\`, \`/etc/apt/keyrings\`) are there
  before the bake asks for packages.
- \`gitProxy\` and \`gitRewrites\` are rules of git (\`url.<via>.insteadOf\`): what a URL begins with is put in the place of the other. Of
  two that fit, the longer beginning counts. A repository that is named by ssh and rewritten to https needs no key any more; a
  private one needs \`secrets.gitToken\`, whose header goes to the server of \`gitProxy\` alone.

## Settings

${sections.join("\n")}`;
};
