/** Images that are in Docker's store before the first job: carried as blobs, loaded and compared (guide rows G24, G27). */
import { type ContainerImage, filesOf } from "../../artifact.ts";
import { imageReferenceOf } from "../../formats/image-reference.ts";
import { environmentFile, tsv } from "../../formats/lines.ts";
import { registryAddress } from "../registry-address.ts";
import { shellWord } from "../../formats/shell.ts";
import { asksDocker, gating, line, ofCommand } from "../check-commands.ts";
import type { Concern, Destination, Install, NodeFile } from "../concern.ts";
import { blobPath, dockerLoadManifest, dockerLoadMembers } from "./docker-load.ts";
import { type ImageFacts, imagesFolder, isNamed } from "./facts.ts";
import { imageListedTwice } from "./twice-rule.ts";

/** Beside the blobs of each image: what `docker load` reads first, and which blobs it gets. Two names may mean one image. */
const loadFiles = (images: readonly ImageFacts[], artifacts: readonly ContainerImage[]): NodeFile[] => {
  const folders = new Map<string, string[]>();
  for (const { reference, locked } of images) {
    if (locked !== undefined) folders.set(locked.folder, [...(folders.get(locked.folder) ?? []), reference]);
  }
  return [...folders].flatMap(([folder, references]) => {
    const image = artifacts.find(({ name }) => references.some((reference) => isNamed(name, reference)));
    return image === undefined
      ? []
      : [
          {
            path: `${folder}/manifest.json`,
            content: dockerLoadManifest(image, references),
            ofBake: true,
            stage: "payload",
            order: 190,
          },
          {
            path: `${folder}/blobs.txt`,
            content: `${dockerLoadMembers(image).join("\n")}\n`,
            ofBake: true,
            stage: "payload",
            order: 190,
          },
        ];
  });
};

/** Bytes a second of compressed layers that the slowest disk and processor get into Docker's store. */
const slowestLoad = 5_000_000;

/** Seconds for bake-images: half an hour, and more with what it has to load. */
const loadTimeout = (images: readonly ContainerImage[]): number =>
  1800 + Math.ceil(images.flatMap(({ layers }) => layers).reduce((sum, { size }) => sum + size, 0) / slowestLoad);

/** Every blob but the manifest, which is written anew. */
const blobs = (artifact: ContainerImage): Install => ({
  artifact,
  stage: "payload",
  rows: filesOf(artifact)
    .filter(({ sha256 }) => !artifact.manifest.digest.endsWith(sha256))
    .map(({ name, sha256 }) => ["image-blob", name, sha256, `${imagesFolder}/${blobPath(`sha256:${sha256}`)}`, "0644"]),
});

export const images: Concern = {
  name: "images",
  rules: [imageListedTwice],
  requirements: ({ builders, images: named }, architecture) => [
    {
      kind: "container-image",
      name: builders.image,
      asked: builders.image,
      architecture,
      path: ["builders", "image"],
    },
    ...named.map((image, index) => ({
      kind: "container-image" as const,
      name: image,
      asked: image,
      architecture,
      path: ["images", index],
    })),
  ],
  contribute: ({ profile, facts: { images: planned, builders, storage }, locked, header }) => {
    const carried = (locked?.artifacts ?? []).flatMap((each) => (each.kind === "container-image" ? [each] : []));
    const registries = [...new Set(profile.images.map((image) => imageReferenceOf(image).pullHost))].map(
      (place): Destination => ({
        ...registryAddress(place, profile.sources.insecureRegistries),
        when: "job",
        why: "base image: its tag is resolved on every build",
        order: 50,
      }),
    );
    return {
      files: [
        {
          path: "/etc/bake/images.env",
          content: `# ${header}\n${environmentFile({
            IMAGES_FOLDER: `${storage.stateFolder}/images`,
            IMAGES_REMOVE_OTHERS: String(profile.storage.removeOtherImages),
          })}`,
          stage: "payload",
          order: 110,
        },
        {
          path: "/opt/bake/images.tsv",
          content: tsv(
            planned.flatMap(({ reference, locked: found }) =>
              found === undefined ? [] : [[reference, found.imageId, found.folder, found.pull]],
            ),
          ),
          ofBake: true,
          stage: "payload",
          order: 180,
        },
        ...loadFiles(planned, carried),
      ],
      units: [{ name: "bake-images.service", values: { loadTimeout: `${loadTimeout(carried)}s` }, order: 70 }],
      scripts: [{ name: "bake-images", stage: "payload", order: 40 }],
      installs: carried.map(blobs),
      checks: planned.map(({ reference, locked: found }, index) =>
        ofCommand(
          gating,
          {
            id: `image-${index + 1}`,
            rows: [reference === builders.image ? "G24" : "G27"],
            title: `image ${reference} is in Docker's store`,
            live: true,
            help: "journalctl -u bake-health -u bake-images; by hand: systemctl restart bake-images bake-builders",
            repair: "images",
          },
          asksDocker(`image inspect --format '{{.Id}}' ${shellWord(reference)}`),
          { stdout: found === undefined ? [] : [line(found.imageId)] },
        ),
      ),
      destinations: registries,
      page: {
        chain: [{ text: "bake-images", order: 50 }],
        boot: [
          {
            text: `\`bake-images\` compares the images with the IDs that the lock names, and brings what is missing: ${
              storage.seed === undefined
                ? "from the layers that the image carries"
                : "from the seed, by a second Docker on it, or from its registry by digest"
            }. One whose loading was cut off by the power is\n  compared layer by layer, and loaded again when it is not whole. Images that bake brought and the lock no longer names are ${
              profile.storage.removeOtherImages ? "removed" : "reported"
            }.`,
            order: 50,
          },
        ],
        paths: [
          storage.seed === undefined
            ? { paths: [imagesFolder], what: "archives of pre-loaded images", order: 30 }
            : {
                paths: ["/opt/bake/seed"],
                what: "the file system of a blank data disk, with all images in it",
                order: 30,
              },
        ],
      },
      needsLock: [
        { what: "node/opt/bake/images.tsv", order: 20 },
        { what: `node${imagesFolder}/`, order: 30 },
        { what: "image IDs in node/opt/bake/checks/gating.yaml", order: 80 },
      ],
    };
  },
};
