/** Bakes in Huawei Cloud: Packer makes a server, provisions it as a VM, and has an image made of its disk. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import * as z from "zod";
import { withholdSecrets, type SecretSources } from "../check/known-secrets.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import type { StepTime } from "../host/progress.ts";
import { withWorkFolder } from "../host/work-folder.ts";
import { fillMirror } from "../store/mirror.ts";
import type { Store } from "../store/store.ts";
import { requireTarget } from "../targets/index.ts";
import { type Provenance, recordedParts, recordParts } from "./image-record.ts";
import { lockedInputs, verifyInputs } from "./inputs.ts";
import { runPacker } from "./packer.ts";
import { publishRecord } from "./publish.ts";

const CloudImageRecord = z.strictObject({
  bakeId: z.string(),
  profile: z.string(),
  target: z.literal("huaweicloud"),
  architecture: z.string(),
  region: z.string(),
  imageId: z.string(),
  imageName: z.string(),
  sourceImage: z.string(),
  ...recordParts,
});
export type CloudImageRecord = z.infer<typeof CloudImageRecord>;

/**
 * The record of the image that was baked last. Whether the image is still there only the cloud knows.
 * @returns undefined when there is none, or it was baked from other inputs.
 */
export const currentCloudImage = async (folder: string, bakeId: string): Promise<CloudImageRecord | undefined> => {
  try {
    const record = CloudImageRecord.parse(JSON.parse(await readFile(join(folder, "image.json"), "utf8")));
    return record.bakeId === bakeId ? record : undefined;
  } catch {
    return undefined;
  }
};

const Manifest = z.object({ builds: z.array(z.object({ artifact_id: z.string() })) });

/** @throws BakeError BK412 when it names no image, or more than the system disk's. */
const imageIdOf = (manifest: string): string => {
  let ids: string[] = [];
  try {
    ids = (Manifest.parse(JSON.parse(manifest)).builds.at(-1)?.artifact_id ?? "").split(";");
  } catch {
    // Told below.
  }
  const [id = "", ...more] = ids;
  if (/^[0-9a-f-]{32,36}$/.test(id) && more.length === 0) return id;
  throw new BakeError(
    "BK412",
    `Packer ended well, and its manifest names ${ids.length > 1 ? `${ids.length} images` : "no image ID"}`,
    "Look into the cloud's list of private images for one of this name, and tell the makers of bake.",
  );
};

export interface CloudBakeInput {
  /** out/<profile>-huaweicloud, holding the rendered tree. */
  readonly folder: string;
  /** With a lock, for the target huaweicloud. */
  readonly plan: NodePlan;
  readonly bakeId: string;
  readonly credentials: Readonly<Record<string, string>>;
  readonly secrets: SecretSources;
  readonly store: Store;
  readonly packer: { readonly path: string; readonly environment: Readonly<Record<string, string>> };
  readonly onPhase: (phase: StepTime) => void;
  readonly steps: () => readonly StepTime[];
  readonly provenance: Provenance;
}

/**
 * Bakes on a server. The credentials reach Packer's environment alone; the profile's secrets reach no command.
 * @param anyHost Its commands would inherit the profile's secrets.
 * @returns the record, which is written into the folder too.
 * @throws BakeError BK201/BK202 for an artifact that is missing or changed, BK401 when the build fails, BK405 when
 * another bake writes into the folder, BK411 without the plugin, BK412 when no image came out.
 */
export const bakeCloudImage = async (anyHost: Host, input: CloudBakeInput): Promise<CloudImageRecord> => {
  const host = withholdSecrets(anyHost, input.secrets);
  const { folder, plan, store, packer } = input;
  const target = requireTarget(plan, "huaweicloud");
  const started = host.now();
  const inputs = lockedInputs(plan).filter(({ isDisk }) => !isDisk);
  // What the server fetches from a mirror is compared there; it need not be here.
  const uploads = target.mirror === undefined;
  if (uploads) await verifyInputs(host, store, plan, inputs);
  const logDir = join(folder, "log");
  await makeFolder(logDir);
  return withWorkFolder(host, "bake", async (workFolder) => {
    const artifacts = join(workFolder, "artifacts");
    const output = join(workFolder, "output");
    await Promise.all([mkdir(artifacts), mkdir(output)]);
    if (uploads) await fillMirror(artifacts, store, inputs, { linked: true });
    await host.progress.step("packer", `Packer builds the image in ${target.region}`, (update) =>
      runPacker(host, {
        packer: packer.path,
        // Its log would hold what it is configured with.
        environment: { ...packer.environment, ...input.credentials, PACKER_LOG: "" },
        template: join(folder, "packer"),
        source: "huaweicloud-ecs.node",
        // Server, address and key pair cost money and stay for ever when it is killed before; while an image is made the
        // plugin cannot be stopped.
        cleanUp: (target.imageTimeout + 10) * 60_000,
        variables: { output, ...(uploads && { artifacts }) },
        withoutPlugin: ({ help = "" }) =>
          new BakeError(
            "BK411",
            "Packer's plugin for Huawei Cloud could not be installed",
            `${help}\nFetch packer-plugin-huaweicloud (1.2.2 or newer) from its releases and install it by hand:\n  PACKER_PLUGIN_PATH=${packer.environment["PACKER_PLUGIN_PATH"] ?? ""} packer plugins install --path FILE github.com/huaweicloud/huaweicloud`,
          ),
        logDir,
        onPhase: input.onPhase,
        update,
      }),
    );
    const imageId = imageIdOf(await readFile(join(output, "manifest.json"), "utf8").catch(() => ""));
    // Whatever comes now, the image is there.
    host.progress.note(`      image ID ${imageId}`);
    const record: CloudImageRecord = {
      bakeId: input.bakeId,
      profile: plan.profile,
      target: "huaweicloud",
      architecture: target.architecture,
      region: target.region,
      imageId,
      imageName: target.imageName,
      sourceImage: target.sourceImage,
      ...recordedParts(plan, input.steps(), host.now()),
    };
    const statement = input.provenance(
      { name: `huaweicloud:${target.region}:${imageId}`, digest: { bakeId: input.bakeId } },
      { started, finished: host.now() },
    );
    await publishRecord(folder, { record, statement });
    return record;
  });
};
