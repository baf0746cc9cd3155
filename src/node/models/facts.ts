/** Models that every agent sees (guide rows G26, G28): each once on the data disk, whatever the number of agents. Pure. */
import { createHash } from "node:crypto";
import type { Artifact, Model } from "../../artifact.ts";
import { tsv } from "../../formats/lines.ts";
import { hubOf, type Profile } from "../../profile/schema.ts";
import { modelTree } from "./model-tree.ts";

export interface ModelFacts {
  readonly hub: Model["hub"];
  readonly name: string;
  /** Whether the image carries it, or the node fetches it from the mirror. */
  readonly from: "image" | "mirror";
  readonly locked?: {
    /** Its folder on the data disk, below `models`: hub, name, commit, and the beginning of the digest of its list. */
    readonly id: string;
    /** sha256 of `list`. */
    readonly digest: string;
    /** Below an agent's folder of the hub. */
    readonly view: string;
    readonly files: number;
    /** Of its files, each content once. */
    readonly bytes: number;
  };
}

/** Where the lists of files lie on the node. */
export const modelLists = "/opt/bake/models";

/** The folder of a model itself below its hub's cache: a view is mounted there. */
const viewOf = ({ hub, name }: Model): string => {
  const [owner = "", own = ""] = name.split("/");
  return hub === "modelscope" ? `hub/models/${owner}/${own.replaceAll(".", "___")}` : `hub/models--${owner}--${own}`;
};

/**
 * A model's list, as bake-models reads it: kind, path, then digest and size, text as base64 and size, or the target of a link.
 * @throws RangeError for a path that no list can hold.
 */
export const modelList = (model: Model): string => {
  const view = viewOf(model);
  return tsv(
    modelTree(model).map(({ path, source }) => {
      if (!path.startsWith(`${view}/`)) throw new RangeError(`${path} of model ${model.name} does not lie in ${view}`);
      const own = path.slice(view.length + 1);
      switch (source.kind) {
        case "stored":
          return ["stored", own, source.sha256, String(source.size)];
        case "text":
          return ["text", own, Buffer.from(source.text).toString("base64"), String(Buffer.byteLength(source.text))];
        default:
          return ["link", own, source.target, "-"];
      }
    }),
  );
};

/** Digests of different bytes, once each, with their sizes. */
const contents = (models: readonly Model[]): ReadonlyMap<string, number> =>
  new Map(models.flatMap(({ files }) => files.map(({ sha256, size }) => [sha256, size] as const)));

/** Bytes of models on a disk: files that they share count once. Pure. */
export const modelBytes = (models: readonly Model[]): number =>
  [...contents(models).values()].reduce((sum, size) => sum + size, 0);

const lockedFacts = (model: Model): NonNullable<ModelFacts["locked"]> => {
  const digest = createHash("sha256").update(modelList(model)).digest("hex");
  const commit = model.version.replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 64);
  return {
    // Another list of the same commit is another folder: nothing is ever added to one that is mounted.
    id: `${model.hub}/${model.name.replaceAll("/", "--")}@${commit}.${digest.slice(0, 12)}`,
    digest,
    view: viewOf(model),
    files: model.files.length,
    bytes: modelBytes([model]),
  };
};

const isModel = (artifact: Artifact): artifact is Model => artifact.kind === "model";

/** The lock's models, for the profile's. @throws RangeError when it does not name one of them. */
export const lockedModel = (name: string, hub: Model["hub"], locked: readonly Artifact[]): Model => {
  const found = locked.find((each): each is Model => isModel(each) && each.name === name && each.hub === hub);
  if (found === undefined) throw new RangeError(`the lock does not name model ${name}`);
  return found;
};

/** @throws RangeError when a lock is given that does not name one of the profile's models. */
export const modelFacts = ({ models }: Profile, locked: readonly Artifact[] | undefined): ModelFacts[] =>
  models.map((model) => {
    const { hub, name } = hubOf(model);
    const facts = { hub, name, from: model.from };
    return locked === undefined ? facts : { ...facts, locked: lockedFacts(lockedModel(name, hub, locked)) };
  });
