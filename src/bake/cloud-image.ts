/** Bakes in Huawei Cloud: Packer makes a server, provisions it as a VM, and has an image made of its disk. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import * as z from "zod";
import { withholdSecrets } from "../check/known-secrets.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { Cloud } from "../huaweicloud/client.ts";
import type { HuaweiCloudTarget } from "../node/target.ts";
import type { StepTime } from "../host/progress.ts";
import { withWorkFolder } from "../host/work-folder.ts";
import { fillMirror } from "../store/mirror.ts";
import { serverName } from "../targets/huaweicloud.ts";
import { requireTarget } from "../targets/index.ts";
import { afterFailure, afterSuccess, deadMansSwitch, failureWith } from "./cloud-end.ts";
import { cloudPhases, estimate, type Made, nothingMade, phaseAt, readLine, waitsFor } from "./cloud-lines.ts";
import type { CloudImageRecord } from "./cloud-record.ts";
import { recordedParts } from "./image-record.ts";
import { lockedInputs, verifyInputs } from "./inputs.ts";
import { type PackerBuild, runPacker } from "./packer.ts";
import type { BakeRequest, PreparedBake } from "./targets.ts";
import { publishRecord } from "./publish.ts";

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

export interface CloudBakeInput extends PreparedBake {
  readonly credentials: BakeRequest["credentials"];
  readonly onPhase: (phase: StepTime) => void;
  /** What the preflight saw: it knows the project. */
  readonly cloud: Cloud;
  readonly projectId: string | undefined;
  /** Where the server is made; the plugin draws a zone where nothing is known. */
  readonly zone: string | undefined;
  /** IDs of servers of this bake's name that were there before it. */
  readonly before: readonly string[];
  /** For the image's description: from where it was baked. */
  readonly builtFrom: string;
  /** The file of the profile's key pair. */
  readonly privateKey: string | undefined;
  /** Told when Packer has ended, whatever came of it. */
  readonly onMade: (made: Made) => void;
}

/** What the template's variables are for this bake. */
const variablesOf = (
  { availabilityZone }: HuaweiCloudTarget,
  { zone, builtFrom, privateKey }: CloudBakeInput,
  folders: { readonly output: string; readonly artifacts: string | undefined },
): Record<string, string> => ({
  output: folders.output,
  ...(folders.artifacts !== undefined && { artifacts: folders.artifacts }),
  // A zone of the profile stands in the template.
  ...(zone !== undefined && availabilityZone === undefined && { availability_zone: zone }),
  ...(builtFrom !== "" && { built_from: builtFrom }),
  ...(privateKey !== undefined && { ssh_private_key_file: privateKey }),
});

/** Runs Packer, and follows what it makes. */
const follow = (
  host: Host,
  input: CloudBakeInput,
  target: HuaweiCloudTarget,
  { onImage, onServer }: { readonly onImage: (id: string) => void; readonly onServer: (id: string) => void },
) => {
  let made = nothingMade;
  const onLine = (line: string): void => {
    const before = made;
    made = readLine(made, line);
    if (made.imageId !== undefined && before.imageId === undefined) onImage(made.imageId);
    // Each line is a sign of life.
    if (made.serverId !== undefined && made.stage !== "clean-up") onServer(made.serverId);
  };
  const run = async (build: Omit<PackerBuild, "onLine">): Promise<void> => {
    const interrupted = (): void =>
      host.progress.note(
        `      waiting: ${waitsFor(made, target.imageTimeout)}.\n      A second Ctrl-C leaves it all as it is: bake catalog leftovers --profile ${input.plan.profile} finds it.`,
      );
    host.signal.addEventListener("abort", interrupted, { once: true });
    try {
      await runPacker(host, { ...build, onLine });
    } finally {
      host.signal.removeEventListener("abort", interrupted);
    }
  };
  return { run, made: (): Made => made };
};

/**
 * Bakes on a server. The credentials reach Packer's environment alone; the profile's secrets reach no command.
 * @param anyHost Its commands would inherit the profile's secrets.
 * @returns the record, which is written into the folder too: as soon as Packer names the image, and again when all is done.
 * @throws BakeError BK201/BK202 for an artifact that is missing or changed, BK401 when the build fails, with what is left in
 * the cloud, BK405 when another bake writes into the folder, BK411 without the plugin, BK412 when no image came out.
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
    for (const line of estimate(target)) host.progress.note(`      ${line}`);

    const publish = async (imageId: string, interrupted: boolean): Promise<CloudImageRecord> => {
      const { zone } = building.made();
      const record: CloudImageRecord = {
        bakeId: input.bakeId,
        profile: plan.profile,
        target: "huaweicloud",
        architecture: target.architecture,
        region: target.region,
        ...(zone !== undefined && { zone }),
        imageId,
        imageName: target.imageName,
        sourceImage: target.sourceImage,
        ...(interrupted && { interrupted }),
        ...recordedParts(plan, input.steps(), host.now()),
      };
      const statement = input.provenance(
        { name: `huaweicloud:${target.region}:${imageId}`, digest: { bakeId: input.bakeId } },
        { started, finished: host.now() },
      );
      await publishRecord(folder, { record, statement });
      return record;
    };
    const endOf = (made: Made) => ({
      region: target.region,
      projectId: input.projectId,
      profile: plan.profile,
      serverName: serverName(plan.profile, input.bakeId),
      before: input.before,
      made,
    });
    let writing: Promise<unknown> = Promise.resolve();
    const note = (line: string): void => host.progress.note(line);
    const renew = deadMansSwitch(input.cloud, host, target.imageTimeout, note);
    const building = follow(host, input, target, {
      onServer: (id) => void renew(id),
      onImage: (id) => {
        note(`      image ID ${id}`);
        // Whatever comes now, the image is there.
        writing = publish(id, true).catch((error: unknown) =>
          note(`      image.json was not written: ${String(error)}`),
        );
      },
    });
    try {
      await host.progress.step("packer", `Packer builds the image in ${input.zone ?? target.region}`, (update) =>
        building.run({
          packer: packer.path,
          // Its log would hold what it is configured with.
          environment: { ...packer.environment, ...input.credentials, PACKER_LOG: "" },
          template: join(folder, "packer"),
          source: "huaweicloud-ecs.node",
          // Server, address and key pair cost money and stay for ever when it is killed before; while an image is made the
          // plugin cannot be stopped.
          cleanUp: (target.imageTimeout + 10) * 60_000,
          variables: variablesOf(target, input, { output, artifacts: uploads ? artifacts : undefined }),
          titles: cloudPhases,
          phaseAt,
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
    } catch (error) {
      await writing;
      const made = building.made();
      input.onMade(made);
      // Nothing was asked of the cloud yet.
      if (error instanceof BakeError && error.code !== "BK401") throw error;
      const lines = [
        ...(made.imageId === undefined
          ? []
          : [`the image is there: ${made.imageId}; ${join(folder, "image.json")} names it, as interrupted`]),
        ...(await afterFailure(host, endOf(made))),
      ];
      if (host.signal.aborted) note(lines.join("\n"));
      throw failureWith(error, lines);
    }
    await writing;
    input.onMade(building.made());
    for (const line of await afterSuccess(host, endOf(building.made()))) note(line);
    return publish(imageIdOf(await readFile(join(output, "manifest.json"), "utf8").catch(() => "")), false);
  });
};
