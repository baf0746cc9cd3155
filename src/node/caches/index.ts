/** Build caches: each blob once on the data disk, and in each agent's folder the cache made of them (guide rows G26, G27). */
import { filesOf } from "../../artifact.ts";
import { formatBinary } from "../../formats/bytes.ts";
import { environmentFile, tsv } from "../../formats/lines.ts";
import { shellWord } from "../../formats/shell.ts";
import { artifactMirror, mirrorDestination, wayOf } from "../artifact-mirror.ts";
import { advisory, byHand, line, ofCommand } from "../check-commands.ts";
import type { Check } from "../check.ts";
import type { Concern, Consequence, Page } from "../concern.ts";
import type { Facts } from "../facts.ts";
import { withoutMirror } from "../mirror-rule.ts";
import { cacheBytes, lockedCaches } from "./facts.ts";
import { cacheListedTwice } from "./twice-rule.ts";

const binary = "/opt/bake/bin/bake-caches";

const repairHelp = "journalctl -u bake-caches says what is missing and why; by hand: systemctl restart bake-caches";

const checksOf = ({ caches, agents }: Facts): Check[] => [
  ofCommand(
    advisory,
    {
      id: "build-caches",
      rows: ["G26", "G27"],
      title: `${caches.map(({ name }) => name).join(", ")}: every blob of the build cache is on the data disk`,
      help: repairHelp,
    },
    `${binary} whole`,
    { stdout: [line("whole")] },
  ),
  ...agents.each.map(({ index, dockerCache }) => {
    const id = `build-cache-of-agent-${index}`;
    return ofCommand(
      advisory,
      {
        id,
        rows: index === 1 ? ["G26", "G27"] : ["G27"],
        title: `builds of agent ${index} find a build cache that is whole`,
        help: repairHelp,
        ...byHand(
          id,
          {
            title: `agent ${index} has a build cache`,
            help: `with no build running, hard-link the blobs of the agent whose cache was filled and copy its index.json and oci-layout: ${dockerCache}`,
          },
          `grep -q sha256: ${shellWord(`${dockerCache}/index.json`)} && find ${shellWord(`${dockerCache}/blobs/sha256`)} -type f -size +0 -print -quit | grep -q .`,
        ),
      },
      `${binary} warm ${index}`,
      { stdout: [line("warm")] },
    );
  }),
];

const consequences = ({ caches, agents, storage }: Facts, bytes: number | undefined): Consequence[] => [
  ...caches.map(({ name, from, locked }, index) => ({
    what: `build cache ${name}`,
    value: [
      ...(locked === undefined ? [] : [formatBinary(locked.bytes), `${locked.blobs} blobs`]),
      wayOf(from, storage),
    ].join(", "),
    because: [`caches[${index}]`],
    order: 77,
  })),
  ...(bytes === undefined
    ? []
    : [
        {
          what: "build caches",
          value: `${formatBinary(bytes)} on the data disk, once for all agents; in ${agents.each.map(({ dockerCache }) => dockerCache).join(", ")}`,
          because: ["caches", "agents.spawn"],
          order: 78,
        },
      ]),
];

const pageOf = ({ caches, storage, agents }: Facts): Page => ({
  chain: [{ text: "bake-caches", order: 46, beside: true }],
  boot: [
    {
      text: "`bake-caches` gives each agent's builds the build cache of the lock, unless a job has written one of its own there since.",
      order: 56,
    },
  ],
  sections: [
    {
      text: `## Build caches

${caches.map(({ name }) => `- ${name}`).join("\n")}

They are one cache in ${agents.each.map(({ dockerCache }) => `\`${dockerCache}\``).join(", ")}: its blobs are hard links to those below
\`${storage.stateFolder}/caches\`, its \`index.json\` is the agent's own. What a job exports there stays, and no other agent sees it.

    bake-caches status              # what is whole, and which agent has what
    bake-caches verify              # reads every byte again; what is wrong is fetched anew by a restart
    bake-caches lay 2               # gives agent 2 the cache of the lock in the place of its own; with no build running
    systemctl restart bake-caches   # fetches what is missing`,
      order: 36,
    },
  ],
  paths: [{ paths: [`${storage.stateFolder}/caches`], what: "blobs of build caches, each once", order: 73 }],
});

export const caches: Concern = {
  name: "caches",
  rules: [
    cacheListedTwice,
    withoutMirror({
      section: "caches",
      noun: "build cache",
      short: "cache",
      inSeed: true,
      entries: (profile) => profile.caches,
    }),
  ],
  requirements: (profile) =>
    profile.caches.map(({ name, path }, index) => ({
      kind: "build-cache" as const,
      name,
      asked: path,
      folder: path,
      path: ["caches", index, "path"],
    })),
  contribute: ({ profile, facts, locked, header }) => {
    const { caches: planned, storage, agents } = facts;
    if (planned.length === 0) return {};
    const found = locked === undefined ? undefined : lockedCaches(profile, locked.artifacts);
    const mirror = artifactMirror(profile);
    return {
      files: [
        {
          path: "/etc/bake/caches.env",
          content: `# ${header}\n${environmentFile({
            CACHES_MOUNT: storage.mount,
            CACHES_FOLDER: `${storage.stateFolder}/caches`,
            CACHES_AGENTS: agents.each.map(({ dockerCache }) => dockerCache).join(":"),
            CACHES_MIRROR: mirror ?? "",
          })}`,
          stage: "payload",
        },
        ...(found === undefined
          ? []
          : [
              {
                path: "/opt/bake/caches.tsv",
                content: tsv(
                  found.flatMap((cache, at) =>
                    filesOf(cache).map(({ sha256, size }, index) => [
                      index === 0 ? "manifest" : "blob",
                      sha256,
                      String(size),
                      cache.name,
                      planned[at]?.from ?? "image",
                    ]),
                  ),
                ),
                ofBake: true as const,
                stage: "payload" as const,
              },
            ]),
      ],
      units: [{ name: "bake-caches.service", values: { mount: storage.mount }, order: 76 }],
      scripts: [{ name: "bake-caches", stage: "payload" }],
      checks: found === undefined ? [] : checksOf(facts),
      destinations: mirrorDestination(mirror, "blobs of build caches by digest, where they are missing", 86),
      explain: consequences(facts, found === undefined ? undefined : cacheBytes(found)),
      page: pageOf(facts),
      needsLock: [
        { what: "node/opt/bake/caches.tsv", order: 26 },
        { what: "checks of build caches", order: 86 },
      ],
    };
  },
};
