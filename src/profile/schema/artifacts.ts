/** What is locked and fetched: images, models, files, and why a version stays. */
import * as z from "zod";
import { imageReferenceForm, longestImageReference } from "../../formats/image-reference.ts";
import { httpUrl, lockedUrl } from "./address.ts";
import { absolutePath, environmentName, localFile, oneLine, token } from "./text.ts";

/** A tag is required: images without one are deleted by the first `docker system prune -f` (facts: run-npu-test.sh). */
export const imageReference = z
  .string()
  .max(longestImageReference)
  .regex(
    imageReferenceForm,
    "expected an image with a tag and without a digest, such as quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12",
  )
  .meta({ examples: ["quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12"] });

const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "expected a sha256: 64 hex digits in lower case")
  .describe("Digest of the file, when you know it.");

/** Where a file lies on the node, and how. */
const laid = {
  path: absolutePath.meta({ examples: ["/opt/site/tool"] }).describe("Where it lies on the node; owned by root."),
  mode: z
    .string()
    .regex(/^0[0-7]{3}$/, "expected a mode such as 0644, as text")
    .default("0644")
    .describe("Its mode there."),
};

/** One of `files` that lies beside the profile: read with it, and a part of what is rendered. */
const LocalFile = z.strictObject({
  from: localFile
    .meta({ examples: ["./files/motd"] })
    .describe(
      "A file of the machine that bakes, 1 MiB at most, relative to this profile; text or not, never a secret.",
    ),
  ...laid,
});

/** One of `files` that is fetched by URL, and locked. */
const FetchedFile = z.strictObject({
  url: lockedUrl("https://example.com/tool.tar.gz").describe("Where the file is downloaded when the lock is made."),
  ...laid,
  sha256: sha256.optional(),
  checksums: lockedUrl("https://example.com/SHA256SUMS")
    .optional()
    .describe("A file of checksums that names it. Without this and without sha256 the first download is trusted."),
});

/** One of `files`: laid down on the node. */
export const File = z.union([LocalFile, FetchedFile]);

const modelName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z0-9][A-Za-z0-9._-]*$/, "expected owner/name such as Qwen/Qwen3-0.6B")
  .meta({ examples: ["Qwen/Qwen3-0.6B"] });

const revision = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/, "expected a branch, a tag or a commit")
  .optional()
  .describe("Branch, tag or commit; the lock holds the commit. The hub's main branch without it.");

const from = z
  .enum(["image", "mirror"])
  .default("image")
  .describe(
    "image: the golden image carries it. mirror: too large for that; a node fetches it at its first boot (network.artifactMirror).",
  );

/** One of `images`, in two forms; once it is read there is one. */
export const Image = z
  .union([
    imageReference,
    z.strictObject({ image: imageReference.describe("The name of the image, with its tag."), from }),
  ])
  .meta({ examples: ["quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12"] })
  .transform((image) => (typeof image === "string" ? { image, from: "image" as const } : image));

/** One of `models`, of one of two hubs. */
export const Model = z.union([
  z.strictObject({ modelscope: modelName.describe("A model of ModelScope."), revision, from }),
  z.strictObject({ huggingface: modelName.describe("A model of Hugging Face."), revision, from }),
]);

/** Which hub a model is of, and its name there. Pure. */
export const hubOf = (model: z.infer<typeof Model>) =>
  "modelscope" in model
    ? ({ hub: "modelscope", name: model.modelscope } as const)
    : ({ hub: "huggingface", name: model.huggingface } as const);

/** One of `caches`: what `--cache-to type=local` wrote on the machine where bake runs. */
export const Cache = z.strictObject({
  name: token("the name of a build cache")
    .meta({ examples: ["vllm-ci"] })
    .describe("How the lock and messages name it."),
  path: localFile
    .meta({ examples: ["caches/vllm-ci"] })
    .describe(
      "The folder that `docker buildx build --cache-to type=local,dest=FOLDER,mode=max` wrote; its tag `latest` is taken.",
    ),
  from,
});

/** One of `pins`: why a version stays, and until when. */
export const Pin = z.strictObject({
  reason: oneLine.optional().describe("Why it stays at this version."),
  link: httpUrl("https://example.com/issues/1").optional().describe("Where to read more."),
  reviewAt: z.iso
    .date("expected a date such as 2026-12-31")
    .optional()
    .describe("From this day on `lock --outdated` asks for another look."),
  follows: z
    .strictObject({
      repository: httpUrl("https://github.com/vllm-project/vllm-ascend.git").describe("A git repository."),
      branch: token("a branch").default("main").describe("Its branch."),
      file: z
        .string()
        .regex(/^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[A-Za-z0-9._/-]+$/, "expected a path in the repository")
        .meta({ examples: ["tests/e2e/vllm_interface/vllm_test.cfg"] })
        .describe("A file in it."),
      variable: environmentName
        .meta({ examples: ["BASE_IMAGE_NAME"] })
        .describe("The assignment in that file which says what CI uses."),
    })
    .optional()
    .describe("Where CI says which one it uses: `lock --outdated` compares."),
});
