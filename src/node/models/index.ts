/** Models: locked and fetched. They do not reach the node yet; model-tree.ts has the layouts. */
import { hubOf } from "../../profile/schema.ts";
import type { Concern } from "../concern.ts";
import { modelListedTwice } from "./twice-rule.ts";

export const models: Concern = {
  name: "models",
  rules: [modelListedTwice],
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
  contribute: () => ({}),
};
