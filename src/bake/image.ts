/** Bakes in a local VM: a rendered tree, artifacts and a base → a golden image, a file with a sha256. */
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import { knownSecrets, withholdSecrets } from "../check/known-secrets.ts";
import { describeFinding, type ScanInput, type ScanResult, scanImage } from "../check/scan-image.ts";
import { BakeError, listed } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { withWorkFolder } from "../host/work-folder.ts";
import type { StageName } from "../node/concern.ts";
import { sha256File } from "../store/store.ts";
import { baseDisk } from "./base-disk.ts";
import { type BakeInput, buildDisk } from "./build-disk.ts";
import { type ImageRecord, noteImage, recordedParts } from "./image-record.ts";
import { inputsOfStages, lockedInputs, neededBytes, requireSpace, verifyInputs } from "./inputs.ts";
import { publishImage } from "./publish.ts";

/** Findings that a message lists. */
const mostListed = 20;

/** @throws BakeError BK403 when something was found: what and where, never the value. */
const requireClean = ({ findings }: ScanResult): void => {
  if (findings.length === 0) return;
  throw new BakeError(
    "BK403",
    `the image holds secrets; it was deleted:\n${listed(findings.map(describeFinding), mostListed)}`,
    "Take them out of what is baked: the profile, the base or an artifact. Consider them known to others, and change them.\ndocs/secrets.md says what is searched for.",
  );
};

/**
 * Looks, before stages are made, whether there is room for them and whether what they read is what the lock names. Each file is read
 * once: a payload that comes out of a layer is gigabytes that nobody needs.
 */
const inputCheck = (host: Host, { plan, store, folder }: BakeInput) => {
  const inputs = lockedInputs(plan);
  const read = new Set<string>();
  const hasSeed = plan.facts.storage.seed !== undefined;
  return {
    /** @throws BakeError BK201, BK202, BK217, BK402 */
    before: async (stages: readonly StageName[], workFolder: string): Promise<void> => {
      const needed = neededBytes(inputs, { hasSeed, stages });
      await requireSpace(workFolder, needed);
      await requireSpace(folder, needed);
      const left = inputsOfStages(inputs, stages).filter(({ sha256 }) => !read.has(sha256));
      if (left.length === 0) return;
      await verifyInputs(host, store, plan, left);
      for (const { sha256 } of left) read.add(sha256);
    },
    /** What may excuse a finding in the image; one that no stage read is compared before it does. */
    forScan: (): ScanInput[] =>
      inputs.map((file) => ({
        ...{ path: store.path(file.sha256), sha256: file.sha256, isDisk: file.isDisk },
        ...(!read.has(file.sha256) && { verify: () => store.verify(file) }),
      })),
  };
};

/** What the package manager brought: no input of the bake has it, and libraries have examples of credentials. */
const filesOfPackages = async (path: string): Promise<ScanInput> => ({
  path,
  sha256: (await sha256File(path)).sha256,
  isDisk: false,
});

/** Searches the finished image for what this machine knows to be secret, and for credentials by their shape. */
const searchForSecrets = async (
  host: Host,
  { plan, secrets, basePassword }: BakeInput,
  image: string,
  workFolder: string,
  inputs: readonly ScanInput[],
): Promise<void> => {
  const known = await knownSecrets(secrets ?? {}, host.env);
  const result = await host.progress.step("scan-secrets", "search the raw disk for secrets", () =>
    scanImage(host, {
      image,
      // A documented one is among no profile's secrets.
      secrets: [
        ...known.secrets,
        ...(basePassword === undefined || known.secrets.some(({ value }) => value.trim() === basePassword)
          ? []
          : [{ name: "the password of the base", value: basePassword }]),
      ],
      inputs,
      workFolder,
    }),
  );
  for (const reason of known.unknown) host.progress.note(`      not searched for: ${reason}`);
  if (result.fromInputs.length > 0) {
    const kinds = [...new Set(result.fromInputs.map(({ what }) => what))].toSorted().join(", ");
    host.progress.note(
      `      left alone: ${result.fromInputs.length} examples and test keys of inputs and packages (${kinds})`,
    );
  }
  if (plan.facts.storage.seed !== undefined && result.seedRanges === 0)
    host.progress.note("      not searched: the seed; only ext file systems can be looked into from here");
  requireClean(result);
};

/**
 * Bakes in a local VM. The result appears under its name only when it is whole and holds no known secret.
 * @param anyHost Its commands would inherit the profile's secrets.
 * @returns the record, which is written into the folder too.
 * @throws BakeError BK201/BK202 for an artifact that is missing or changed, BK401 when the build fails, BK402 without
 * room, BK403 when the image holds a secret, BK405 when another bake writes into the folder.
 */
export const bakeImage = async (anyHost: Host, input: BakeInput): Promise<ImageRecord> => {
  const host = withholdSecrets(anyHost, input.secrets ?? {});
  const started = host.now();
  const { folder, plan, store, accelerator } = input;
  const { before, forScan } = inputCheck(host, input);
  const base = await baseDisk(host, store, plan.base);
  const logDir = join(folder, "log");
  await makeFolder(logDir);
  return withWorkFolder(host, "bake", async (workFolder) => {
    const { disk, packages, stages, keep } = await buildDisk(host, input, {
      ...{ workFolder, logDir, base },
      before: (made) => before(made, workFolder),
    });
    const fresh = join(workFolder, "image.qcow2");
    await host.progress.step("flatten", "flatten and compress the image", async () => {
      await host.run("qemu-img", ["convert", "-c", "-W", "-m", "4", "-O", "qcow2", disk, fresh]);
    });
    await searchForSecrets(host, input, fresh, workFolder, [...forScan(), await filesOfPackages(packages)]);
    const { sha256, size } = await host.progress.step("hash-image", "hash the image", () => sha256File(fresh));
    const { artifacts, steps, madeAt } = recordedParts(plan, input.steps(), host.now());
    const record: ImageRecord = {
      bakeId: input.bakeId,
      profile: plan.profile,
      trial: input.trial,
      target: "qemu",
      architecture: plan.target.architecture,
      file: "image.qcow2",
      size,
      sha256,
      base: { name: base.name, sha256: base.sha256 },
      artifacts,
      accelerator: accelerator.accel,
      ...(stages.length > 0 && { stages: [...stages] }),
      steps,
      madeAt,
    };
    const statement = input.provenance({ name: record.file, digest: { sha256 } }, { started, finished: host.now() });
    await publishImage(folder, fresh, { record, statement });
    await noteImage(folder, record);
    // Not before the image was found clean: what stages lay is in it too. What hygiene takes out is in layers alone (docs/layers.md).
    await keep();
    return record;
  });
};
