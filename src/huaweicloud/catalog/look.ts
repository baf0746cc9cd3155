/** What is in the catalogue, and who uses it. It only looks. */
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import { type Cloud, CloudError } from "../client.ts";
import type { Seen } from "../preflight/line.ts";
import { listServers } from "../servers.ts";
import { type CatalogImage, ListedImage, readImage } from "./image.ts";
import { type Stated, statesOf } from "./states.ts";

const Images = z.object({ images: z.array(ListedImage) });
const Members = z.object({ members: z.array(z.object({ member_id: z.string(), status: z.string().default("") })) });
const Configurations = z.object({
  scaling_configurations: z.array(
    z.object({ scaling_configuration_id: z.string(), scaling_configuration_name: z.string().nullish() }),
  ),
});

const pageSize = 1000;

/** Private images that a query finds, of all enterprise projects. @throws CloudError */
const listImages = async (cloud: Cloud, query: Readonly<Record<string, string>>) => {
  const all = new Map<string, z.infer<typeof ListedImage>>();
  for (;;) {
    const size = all.size;
    const marker = [...all.keys()].at(-1);
    const { images } = await cloud.call("listImages", {
      query: {
        ...query,
        __imagetype: "private",
        enterprise_project_id: "all_granted_eps",
        limit: pageSize,
        ...(marker !== undefined && { marker }),
      },
      answer: Images,
    });
    for (const image of images) all.set(image.id, image);
    if (images.length < pageSize || all.size === size) return [...all.values()];
  }
};

/**
 * The images of a profile.
 * @param profileTag The value of their tag `bake-profile`.
 * @throws CloudError
 */
export const listCatalog = async (cloud: Cloud, profileTag: string): Promise<Stated[]> => {
  const images = await listImages(cloud, { tag: `bake-profile=${profileTag}` });
  return statesOf(images.flatMap((image) => readImage(image, profileTag) ?? []));
};

/** All private images, bake's or not: a copy has no tags until it is given some. @throws CloudError */
export const listPrivate = async (cloud: Cloud): Promise<CatalogImage[]> =>
  (await listImages(cloud, {})).flatMap((image) => readImage(image, undefined) ?? []);

interface User {
  readonly id: string;
  readonly name: string;
}

export interface Member {
  readonly project: string;
  /** `pending`, `accepted` or `rejected`: who rejected it may still use it by its ID. */
  readonly status: string;
}

/** Who uses an image; what could not be asked is an error. */
export interface Usage {
  readonly servers: Seen<readonly User[]>;
  readonly scaling: Seen<readonly User[]>;
  readonly members: Seen<readonly Member[]>;
}

const seen = async <T>(ask: () => Promise<T>): Promise<Seen<T>> => {
  try {
    return { value: await ask() };
  } catch (error) {
    // Credentials that are refused end everything.
    if (error instanceof CloudError && error.code !== "BK420") return { error };
    throw error;
  }
};

/** @throws CloudError */
export const membersOf = async (cloud: Cloud, id: string): Promise<Member[]> => {
  const { members } = await cloud.call("listMembers", { parameters: { image_id: id }, answer: Members });
  return members.map(({ member_id: project, status }) => ({ project, status }));
};

const scalingOf = async (cloud: Cloud, id: string): Promise<User[]> => {
  try {
    const { scaling_configurations: found } = await cloud.call("listScalingConfigurations", {
      query: { image_id: id, limit: 100 },
      answer: Configurations,
    });
    return found.map(({ scaling_configuration_id: each, scaling_configuration_name: name }) => ({
      id: each,
      name: name ?? "",
    }));
  } catch (error) {
    // The service has no configurations, or there is no such service in this region: nobody uses it there.
    if (error instanceof CloudError && error.status === 404) return [];
    throw error;
  }
};

/**
 * Who uses these images, by their IDs. Servers are listed once.
 * @throws CloudError BK420; the signal's reason.
 */
export const usageOf = async (cloud: Cloud, images: readonly CatalogImage[]): Promise<ReadonlyMap<string, Usage>> => {
  const servers = await seen(() => listServers(cloud));
  const usage = new Map<string, Usage>();
  for (const { id } of images) {
    usage.set(id, {
      servers:
        "error" in servers
          ? servers
          : {
              value: servers.value
                .filter((server) => server.images.includes(id))
                .map((server) => ({ id: server.id, name: server.name })),
            },
      scaling: await seen(() => scalingOf(cloud, id)),
      members: await seen(() => membersOf(cloud, id)),
    });
  }
  return usage;
};

/**
 * The image that a user means: by its ID, by the beginning of its bake id (six letters at least), or by `current` or `previous`. Pure.
 * @throws BakeError BK430 when none of the catalogue fits, or several do.
 */
export const findImage = (catalog: readonly Stated[], wanted: string, profile: string): Stated => {
  const found = catalog.filter(
    ({ image, state }) =>
      image.id === wanted ||
      ((wanted === "current" || wanted === "previous") && state === wanted) ||
      (wanted.length >= 6 && image.bakeId.startsWith(wanted)),
  );
  const [only, ...more] = found;
  if (only !== undefined && more.length === 0) return only;
  throw new BakeError(
    "BK430",
    only === undefined
      ? `the catalogue of ${profile} has no image ${wanted}`
      : `${wanted} is ${found.length} images of ${profile}: ${found.map(({ image }) => image.id).join(", ")}`,
    `Images are named by ID, by the first letters of their bake id, or as current and previous: bake catalog ls --profile ${profile}`,
  );
};
