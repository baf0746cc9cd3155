/** Images that are in Docker's store before the first job: carried as blobs or fetched from a mirror, loaded and compared (guide rows G24, G27). */
import { type ContainerImage, filesOf } from "../../artifact.ts";
import { formatBinary } from "../../formats/bytes.ts";
import { imageReferenceOf } from "../../formats/image-reference.ts";
import { environmentFile, tsv } from "../../formats/lines.ts";
import { shellWord } from "../../formats/shell.ts";
import { artifactMirror, fetchSettings, mirrorDestination } from "../artifact-mirror.ts";
import { asksDocker, gating, line, ofCommand } from "../check-commands.ts";
import type { Concern, Consequence, Destination, Install, NodeFile } from "../concern.ts";
import type { Facts } from "../facts.ts";
import { withoutMirror } from "../mirror-rule.ts";
import { registryAddress } from "../registry-address.ts";
import { layerBytes, unpacked } from "../unpacked.ts";
import { blobPath, dockerLoadManifest, dockerLoadMembers } from "./docker-load.ts";
import { type ImageFacts, imagesFolder, isCarried, isNamed } from "./facts.ts";
import { imageListedTwice } from "./twice-rule.ts";

/** Blobs of an image, each once, as bake-images fetches them: sha256 and bytes. */
const fetchList = ({ config, layers }: ContainerImage): string =>
  tsv(
    [...new Map([config, ...layers].map(({ digest, size }) => [digest, size]))].map(([digest, size]) => [
      digest.slice("sha256:".length),
      String(size),
    ]),
  );

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
          // Its being there says that no blob lies on the node.
          ...(isCarried(images, image)
            ? []
            : [
                {
                  path: `${folder}/fetch.tsv`,
                  content: fetchList(image),
                  ofBake: true as const,
                  stage: "payload" as const,
                  order: 190,
                },
              ]),
        ];
  });
};

/** Bytes a second of compressed layers that the slowest disk and processor get into Docker's store. */
const slowestLoad = 5_000_000;

/** Bytes a second that the slowest mirror gives, all connections together. */
const slowestMirror = 1_000_000;

const bytesOf = (images: readonly ContainerImage[]): number =>
  images.flatMap(({ layers }) => layers).reduce((sum, { size }) => sum + size, 0);

/** Seconds for bake-images: half an hour, and more with what it has to load and to fetch. What is cut off is gone on with. */
const loadTimeout = (all: readonly ContainerImage[], fetched: readonly ContainerImage[]): number =>
  1800 + Math.ceil(bytesOf(all) / slowestLoad) + Math.ceil(bytesOf(fetched) / slowestMirror);

/** What the plan says where the golden image does not carry all of them. */
const consequences = (planned: readonly ImageFacts[], locked: readonly ContainerImage[]): Consequence[] => {
  const fetched = planned.flatMap(({ reference, from }, index) => (from === "mirror" ? [{ reference, index }] : []));
  return [
    ...fetched.map(({ reference, index }) => {
      const image = locked.find(({ name }) => isNamed(name, reference));
      return {
        what: `image ${reference}`,
        value: [
          ...(image === undefined ? [] : [`${formatBinary(layerBytes([image]))} of layers`]),
          "from the mirror, at the first boot",
        ].join(", "),
        // The first one is the builders'.
        because: [`images[${index - 1}]`],
        order: 73,
      };
    }),
    ...(locked.length === 0
      ? []
      : [
          {
            what: "images",
            value: `about ${formatBinary(layerBytes(locked) * unpacked)} on the data disk; ${formatBinary(layerBytes(locked.filter((image) => isCarried(planned, image))))} of layers in the image`,
            because: ["images", "builders.image"],
            order: 74,
          },
        ]),
  ];
};

/** How an image comes back, in node.md. */
const wayBack = ({ storage }: Facts, hasFetched: boolean): string =>
  [
    storage.seed === undefined
      ? "from the layers that the image carries"
      : "from the seed, by a second Docker on it, or from its registry by digest",
    ...(hasFetched ? ["what the image does not carry from the mirror, or from its registry by digest"] : []),
  ].join("; ");

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
  rules: [
    imageListedTwice,
    withoutMirror({
      section: "images",
      noun: "image",
      short: "layers",
      inSeed: false,
      entries: (profile) => profile.images.map(({ image, from }) => ({ name: image, from })),
    }),
  ],
  requirements: ({ builders, images: named }, architecture) => [
    {
      kind: "container-image",
      name: builders.image,
      asked: builders.image,
      architecture,
      path: ["builders", "image"],
    },
    ...named.map(({ image }, index) => ({
      kind: "container-image" as const,
      name: image,
      asked: image,
      architecture,
      path: ["images", index],
    })),
  ],
  contribute: ({ profile, facts, locked, header }) => {
    const { images: planned, builders, storage } = facts;
    const all = (locked?.artifacts ?? []).flatMap((each) => (each.kind === "container-image" ? [each] : []));
    const carried = all.filter((image) => isCarried(planned, image));
    const hasFetched = planned.some(({ from }) => from === "mirror");
    const mirror = hasFetched ? artifactMirror(profile) : undefined;
    const registries = [...new Set(profile.images.map(({ image }) => imageReferenceOf(image).pullHost))].map(
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
            ...(hasFetched && {
              IMAGES_MOUNT: storage.mount,
              IMAGES_MIRROR: mirror ?? "",
              ...fetchSettings("IMAGES"),
            }),
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
        ...loadFiles(planned, all),
      ],
      units: [
        {
          name: "bake-images.service",
          values: {
            mirror: hasFetched,
            loadTimeout: `${loadTimeout(
              all,
              all.filter((image) => !isCarried(planned, image)),
            )}s`,
          },
          order: 70,
        },
      ],
      scripts: [
        { name: "bake-images", stage: "payload", order: 40 },
        // Read by bake-models, too.
        { name: "fetch-blobs.sh", stage: "payload" },
      ],
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
      destinations: [...registries, ...mirrorDestination(mirror, "images by digest, where they are missing", 87)],
      ...(hasFetched && { explain: consequences(planned, all) }),
      page: {
        chain: [{ text: "bake-images", order: 50 }],
        boot: [
          {
            text: `\`bake-images\` compares the images with the IDs that the lock names, and brings what is missing: ${wayBack(facts, hasFetched)}. One whose loading was cut off by the power is\n  compared layer by layer, and loaded again when it is not whole. Images that bake brought and the lock no longer names are ${
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
