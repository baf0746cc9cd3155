/** Models: once each on the data disk, and for each agent a view that its jobs may write to (guide rows G26, G28). */
import { formatBinary } from "../../formats/bytes.ts";
import { environmentFile, tsv } from "../../formats/lines.ts";
import { shellWord } from "../../formats/shell.ts";
import { hubOf } from "../../profile/schema.ts";
import { artifactMirror, fetchSettings, isInSeed, mirrorDestination, wayOf } from "../artifact-mirror.ts";
import { advisory, byHand, gating, line, ofCommand } from "../check-commands.ts";
import type { Check } from "../check.ts";
import type { Concern, Consequence, NodeFile, Page } from "../concern.ts";
import type { Facts } from "../facts.ts";
import { withoutMirror } from "../mirror-rule.ts";
import { lockedModel, type ModelFacts, modelBytes, modelList, modelLists } from "./facts.ts";
import { modelListedTwice } from "./twice-rule.ts";

const hubNames = { modelscope: "ModelScope", huggingface: "Hugging Face" } as const;

const binary = "/opt/bake/bin/bake-models";

/** An agent's folder of a hub. */
const folderOf = (hub: ModelFacts["hub"], { modelCache, hfCache }: Facts["agents"]["each"][number]): string =>
  hub === "modelscope" ? modelCache : hfCache;

/** Where both hubs' clients may have put a model on a host that was set up by hand; one of these has to hold its weights. */
const placesByHand = ({ hub, name }: ModelFacts): string[] => {
  const [owner = "", own = ""] = name.split("/");
  const masked = own.replaceAll(".", "___");
  return hub === "modelscope"
    ? [
        `hub/models/${owner}/${masked}`,
        `models/${owner}/${masked}`,
        `models/${owner}--${own}`,
        `hub/${owner}/${masked}`,
      ]
    : [`hub/models--${owner}--${own}`];
};

const modelCheck = (model: ModelFacts, index: number): Check[] => {
  const { locked } = model;
  if (locked === undefined) return [];
  return [
    ofCommand(
      gating,
      {
        id: `model-${index + 1}`,
        rows: ["G26", "G28"],
        title: `model ${model.name} of ${hubNames[model.hub]} is whole on the data disk`,
        live: true,
        help: "journalctl -u bake-models says what is missing and why; by hand: systemctl restart bake-models",
        repair: "models",
      },
      `${binary} whole ${shellWord(locked.id)}`,
      { stdout: [line("whole")] },
    ),
  ];
};

const viewCheck = (models: readonly ModelFacts[], agent: Facts["agents"]["each"][number]): Check => {
  const id = `models-of-agent-${agent.index}`;
  const names = models.map(({ name }) => name).join(", ");
  // Its largest file: notes alone are no model.
  const found = models.map((model) => {
    const places = placesByHand(model).map((place) => shellWord(`${folderOf(model.hub, agent)}/${place}`));
    return `find -L ${places.join(" ")} -type f -size +0 ! -name '.*' -print -quit 2>/dev/null | grep -q .`;
  });
  return ofCommand(
    gating,
    {
      id,
      rows: ["G28"],
      title: `agent ${agent.index} sees ${names}`,
      live: true,
      help: "journalctl -u bake-models; by hand: systemctl restart bake-models",
      repair: "models",
      ...byHand(
        id,
        {
          title: `agent ${agent.index} has ${names}`,
          help: `copy them from the agent whose caches were filled, dot files too: ${[...new Set(models.map(({ hub }) => folderOf(hub, agent)))].join(", ")}`,
        },
        found.join(" && "),
      ),
    },
    `${binary} seen ${agent.index}`,
    { stdout: [line(`sees ${models.length} models`)] },
  );
};

const checksOf = ({ models, agents }: Facts, isLocked: boolean): Check[] =>
  models.length === 0 || !isLocked
    ? []
    : [
        ...models.flatMap(modelCheck),
        ...agents.each.map((agent) => viewCheck(models, agent)),
        ofCommand(
          advisory,
          {
            id: "bake-models-unchanged",
            rows: ["G28"],
            title: "no job has changed its agent's view of a model",
            help: "bake-models status says whose; it is taken back before that agent's next job, or by bake-models reset",
          },
          `! ${binary} status | grep ' changed '`,
        ),
      ];

const consequences = (
  { models, storage }: Facts,
  bytes: { readonly all: number; readonly image: number },
): Consequence[] =>
  models.length === 0
    ? []
    : [
        ...models.map((model, index) => ({
          what: `model ${model.name}`,
          value: [
            ...(model.locked === undefined ? [] : [formatBinary(model.locked.bytes), `${model.locked.files} files`]),
            wayOf(model.from, storage),
          ].join(", "),
          because: [`models[${index}]`],
          order: 75,
        })),
        ...(models.some(({ locked }) => locked === undefined)
          ? []
          : [
              {
                what: "models",
                value: `${formatBinary(bytes.all)} on the data disk, once for all agents; ${formatBinary(bytes.image)} of them in the image`,
                because: ["models", "agents.spawn"],
                order: 76,
              },
            ]),
      ];

const pageOf = ({ models, storage }: Facts, mirror: string | undefined): Page => ({
  chain: [{ text: "bake-models", order: 45, beside: true }],
  boot: [
    {
      text: "`bake-models` gives each agent a view of every model that is whole, and fetches what is missing from the mirror; it goes on\n  where it was cut off. What jobs changed in their views before the boot is gone with it.",
      order: 55,
    },
  ],
  sections: [
    {
      text: `## Models

Each revision lies on the data disk once, below \`${storage.stateFolder}/models\`; nothing changes it once it is whole. An agent's view
of it is an overlay in its own folder: jobs may write there, and no other agent sees it. Before an agent's next job it is as the
lock says again, as far as no container uses it.

${models.map(({ hub, name, from }) => `- ${name} (${hubNames[hub]}), ${wayOf(from, storage)}`).join("\n")}

    bake-models status              # what is whole, how far a fetch is, what jobs changed
    bake-models verify              # reads every byte again; what is wrong is fetched anew by a restart
    bake-models reset 2             # takes back what jobs of agent 2 changed
    systemctl restart bake-models   # fetches what is missing${mirror === undefined ? "; no mirror is named for that (`network.artifactMirror`)" : `, from ${mirror}`}`,
      order: 35,
    },
  ],
  paths: [
    {
      paths: [`${storage.stateFolder}/models`, `${storage.stateFolder}/views`],
      what: "models, each once, and what jobs changed in their agents' views",
      order: 72,
    },
  ],
});

export const models: Concern = {
  name: "models",
  rules: [
    modelListedTwice,
    withoutMirror({
      section: "models",
      noun: "model",
      short: "model",
      inSeed: true,
      entries: (profile) => profile.models.map((model) => ({ name: hubOf(model).name, from: model.from })),
    }),
  ],
  requirements: (profile) =>
    profile.models.map((model, index) => {
      const { hub, name } = hubOf(model);
      return {
        kind: "model" as const,
        hub,
        name,
        asked: model.revision ?? (hub === "modelscope" ? "master" : "main"),
        path: ["models", index, hub],
      };
    }),
  contribute: ({ profile, facts, locked, header }) => {
    const { models: planned, storage, agents } = facts;
    const found = locked === undefined ? [] : planned.map(({ hub, name }) => lockedModel(name, hub, locked.artifacts));
    const carried = found.filter((_, index) => isInSeed(planned[index]?.from ?? "mirror", storage));
    const mirror = artifactMirror(profile);
    const destinations = mirrorDestination(
      planned.length === 0 ? undefined : mirror,
      "models by digest, where they are missing",
      85,
    );
    return {
      files: [
        {
          path: "/etc/bake/models.env",
          content: `# ${header}\n${environmentFile({
            MODELS_MOUNT: storage.mount,
            MODELS_FOLDER: `${storage.stateFolder}/models`,
            VIEWS_FOLDER: `${storage.stateFolder}/views`,
            MODELS_AGENTS: String(agents.spawn),
            MODELS_MIRROR: mirror ?? "",
            ...fetchSettings("MODELS"),
            MODELS_REMOVE_OTHERS: String(profile.storage.removeOtherModels),
          })}`,
          stage: "payload",
        },
        {
          path: "/opt/bake/models.tsv",
          content: tsv(
            planned.flatMap(({ hub, name, from, locked: its }) =>
              its === undefined ? [] : [[its.id, its.digest, hub, name, from, its.view, String(its.bytes)]],
            ),
          ),
          ofBake: true,
          stage: "payload",
        },
        ...found.map(
          (model, index): NodeFile => ({
            path: `${modelLists}/${planned[index]?.locked?.id}.tsv`,
            content: modelList(model),
            ofBake: true,
            stage: "payload",
          }),
        ),
      ],
      units: [{ name: "bake-models.service", values: { mount: storage.mount }, order: 75 }],
      scripts: [{ name: "bake-models", stage: "payload" }],
      checks: checksOf(facts, locked !== undefined),
      destinations,
      explain: consequences(facts, { all: modelBytes(found), image: modelBytes(carried) }),
      ...(planned.length > 0 && { page: pageOf(facts, mirror) }),
      needsLock: [
        { what: "node/opt/bake/models.tsv", order: 25 },
        ...(planned.length > 0
          ? [
              { what: `node${modelLists}/`, order: 35 },
              { what: "checks of models", order: 85 },
            ]
          : []),
      ],
    };
  },
};
