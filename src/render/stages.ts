/** Ids of the stages of a bake: each follows from all that is read while the stage, and those before it, are made. */
import { createHash } from "node:crypto";
import { type StageName, stageNames } from "../node/concern.ts";

/** Something that a stage reads. */
export interface StagePart {
  readonly stage: StageName;
  /** Below the folder that a bake uploads, or what it is of the place where the image is made. */
  readonly name: string;
  readonly content: string;
  readonly encoding?: "latin1";
}

/** A stage of a bake, in order. */
export interface Stage {
  readonly name: StageName;
  /** base64url, 43 characters. The id of the last stage is the bake id. */
  readonly id: string;
}

/**
 * An id for every stage. A stage whose id is known was made from the same things, after the same stages. Pure.
 * @param parts All that the stages before the last one read, in any order.
 * @param bakeId Names the last stage: it is over whatever ends up in the image.
 */
export const stagesOf = (parts: readonly StagePart[], bakeId: string): Stage[] => {
  let before = "";
  return stageNames.map((name) => {
    if (name === "node") return { name, id: bakeId };
    const hash = createHash("sha256").update(`${name}\0${before}\0`);
    const own = parts
      .filter(({ stage }) => stage === name)
      .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    for (const { name: of, content, encoding = "utf8" } of own) {
      const bytes = Buffer.from(content, encoding);
      hash.update(`${of}\0${bytes.length}\0`).update(bytes);
    }
    before = hash.digest("base64url");
    return { name, id: before };
  });
};
