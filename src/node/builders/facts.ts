/** The builders cachebuilder1 … cachebuilder<spawn> (guide row G24). Pure. */
import type { Profile } from "../../profile/schema.ts";

/** Where buildx keeps the builders of root: its own default while DOCKER_CONFIG is not set. */
export const buildxState = "/root/.docker/buildx";

/** The first of the folders where Docker's client looks for plugins whatever DOCKER_CONFIG says. */
export const pluginLinkFolder = "/usr/local/lib/docker/cli-plugins";
/** Of the data disk, in hundredths, for the caches of all builders together: images, models and caches of jobs lie there, too. */
export const cachesShare = 60;

export interface BuilderFacts {
  readonly image: string;
  /** What the node calls it: no registry answers there, so that a builder takes what was loaded. */
  readonly localImage: string;
  /** One for each agent, in their order. */
  readonly names: readonly string[];
}

/** @param names Of the builders, one for each agent. Pure. */
export const builderFacts = ({ builders }: Profile, names: readonly string[]): BuilderFacts => ({
  image: builders.image,
  localImage: `localhost:1/${builders.image}`,
  names,
});
