/** The target huaweicloud: bakes on a server; what was made is checked on a server too, by `bake check --host`. */
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { formatSeconds } from "../host/progress.ts";
import { CloudError } from "../huaweicloud/client.ts";
import type { Line } from "../huaweicloud/preflight/index.ts";
import { serverName } from "../targets/huaweicloud.ts";
import { requireTarget } from "../targets/index.ts";
import { ensureTool } from "../toolchain/ensure.ts";
import { builtFrom } from "./built-from.ts";
import { privateKeyFile } from "./cloud-credentials.ts";
import { bakeCloudImage } from "./cloud-image.ts";
import { type Made, nothingMade } from "./cloud-lines.ts";
import { cloudPreflight } from "./cloud-preflight.ts";
import { type BakedImage, type CloudImageRecord, imagesOfBake, recordedCloudImage } from "./cloud-record.ts";
import { afterBake, explained, type PreflightReport, reportName, summary, writeReport } from "./cloud-report.ts";
import { recordedParts } from "./image-record.ts";
import { publishRecord } from "./publish.ts";
import type { Baker, BakeRequest } from "./targets.ts";

const describe = ({ imageId, imageName, region, bakeId, profile }: CloudImageRecord): string =>
  [
    `  image ID ${imageId}`,
    `  name     ${imageName}`,
    `  region   ${region}`,
    `  bake id  ${bakeId}`,
    `It was not booted: make a server from it and run bake check --profile ${profile} --host.`,
  ].join("\n");

type Seen = Awaited<ReturnType<typeof cloudPreflight>>;

/** Looks before anything is made or paid for, and keeps what was seen beside where image.json will be. */
const lookFirst = async (host: Host, { folder, plan, files, bakeId, print }: BakeRequest) => {
  const target = requireTarget(plan, "huaweicloud");
  const seen = await host.progress.step("preflight", `look at ${target.region}`, () =>
    cloudPreflight(host, { plan, files }),
  );
  const report: PreflightReport = {
    profile: plan.profile,
    target: "huaweicloud",
    bakeId,
    region: target.region,
    ...(seen.zone !== undefined && { zone: seen.zone }),
    at: new Date(host.now()).toISOString(),
    lines: seen.lines,
  };
  await writeReport(folder, report);
  print(summary(seen.lines, join(folder, reportName)));
  return { seen, report };
};

/** What stands in a bake's way: a server of another bake of the profile does not, one of this very bake does. */
const hindrances = ({ lines, servers }: Seen, name: string): Line[] =>
  lines.filter(
    ({ id, outcome }) => outcome === "wrong" && (id !== "leftovers" || servers.some((server) => server.name === name)),
  );

/** Servers that bakes of the profile have, or left: each costs money until it is removed. @returns nothing where there are none. */
const serversThere = ({ lines }: Seen): string | undefined =>
  lines.find(({ id, outcome }) => id === "leftovers" && outcome === "wrong")?.detail;

/** @throws BakeError BK426 */
const requireReady = (seen: Seen, name: string, print: (text: string) => void): void => {
  const wrong = hindrances(seen, name);
  if (wrong.length > 0) {
    throw new BakeError(
      "BK426",
      `the preflight finds ${wrong.length === 1 ? "one thing that is" : `${wrong.length} things that are`} not right: nothing was made`,
      explained(wrong),
    );
  }
  const others = serversThere(seen);
  if (others !== undefined) print(`  other bakes of this profile run, or were cut off: ${others}`);
};

/** The record of an image that the cloud has already: this folder's own, where it is about that image. */
const recordOf = async (
  host: Host,
  { folder, plan, bakeId }: BakeRequest,
  image: BakedImage,
): Promise<CloudImageRecord> => {
  const known = await recordedCloudImage(folder, bakeId);
  if (known?.imageId === image.id && known.interrupted === undefined) return known;
  const target = requireTarget(plan, "huaweicloud");
  const made = Date.parse(image.created_at ?? "");
  const record: CloudImageRecord = {
    bakeId,
    profile: plan.profile,
    target: "huaweicloud",
    architecture: target.architecture,
    region: target.region,
    imageId: image.id,
    imageName: image.name,
    sourceImage: target.sourceImage,
    ...recordedParts(plan, [], Number.isNaN(made) ? host.now() : made),
  };
  await publishRecord(folder, { record });
  return record;
};

/**
 * The image of this bake id, when the cloud has it.
 * @throws BakeError BK427 when one is being made.
 */
const alreadyThere = async (host: Host, request: BakeRequest, seen: Seen): Promise<CloudImageRecord | undefined> => {
  const { cloud, projectId } = seen;
  const { plan, bakeId, print, folder } = request;
  if (projectId === undefined) return undefined;
  const target = requireTarget(plan, "huaweicloud");
  let images: Awaited<ReturnType<typeof imagesOfBake>>;
  try {
    images = await imagesOfBake(cloud, bakeId, target);
  } catch (error) {
    if (!(error instanceof CloudError)) throw error;
    // What this machine knows is better than a second image.
    const known = await recordedCloudImage(folder, bakeId);
    print(`  whether this image is there already could not be asked: ${error.message}`);
    return known;
  }
  // The one that was named before stays the one.
  const known = await recordedCloudImage(folder, bakeId);
  const image = images.active.find(({ id }) => id === known?.imageId) ?? images.active[0];
  if (image !== undefined) return recordOf(host, request, image);
  const [coming] = images.underWay;
  if (coming === undefined) return undefined;
  const servers = serversThere(seen);
  throw new BakeError(
    "BK427",
    `an image of these inputs is being made: ${coming.id} is ${coming.status}`,
    [
      "Another bake makes it, or one that was stopped had it begun. Run bake image again in some minutes: it then takes this one.",
      ...(servers === undefined ? [] : [`Servers of this profile's bakes: ${servers}.`]),
    ].join("\n"),
  );
};

/** Of two equal bakes at a time each makes an image: that is told, and the first one named stays. */
const tellOfTwins = async ({ plan, bakeId, print }: BakeRequest, { cloud }: Seen, imageId: string): Promise<void> => {
  try {
    const { active } = await imagesOfBake(cloud, bakeId, requireTarget(plan, "huaweicloud"));
    const others = active.filter(({ id }) => id !== imageId).map(({ id }) => id);
    if (others.length > 0)
      print(`  another bake of the same inputs made ${others.join(", ")}: one of these images is enough`);
  } catch {
    // The image is there: what else there is can be seen later.
  }
};

/** Bakes in Huawei Cloud. Nothing is booted here. */
export const huaweiCloudBaker: Baker = {
  setUp: async (host) => (await ensureTool(host, "packer")).path,
  bake: async (host, request) => {
    const { folder, plan, bakeId, print, recordStep } = request;
    const target = requireTarget(plan, "huaweicloud");
    const privateKey = privateKeyFile(host.env, target.keyPair);
    const { seen, report } = await lookFirst(host, request);
    const current = await alreadyThere(host, request, seen);
    if (current !== undefined) {
      print(`  up to date: nothing to bake (made ${current.madeAt})`);
      // One that was killed after its image was there left its server; nobody else would tell.
      const servers = serversThere(seen);
      if (servers !== undefined) {
        print(
          `  bakes of this profile run, or were cut off and cost money until bake catalog leftovers removes them: ${servers}`,
        );
      }
      return { describe: () => describe(current) };
    }
    const name = serverName(plan.profile, bakeId);
    requireReady(seen, name, print);
    // What the server takes from a mirror need not be here.
    if (target.mirror === undefined) await request.fetch();
    let made: Made = nothingMade;
    const finish = (ended?: string): Promise<void> =>
      writeReport(folder, { ...report, lines: afterBake(report.lines, made, ended) });
    try {
      const record = await bakeCloudImage(host, {
        ...request,
        cloud: seen.cloud,
        projectId: seen.projectId,
        zone: seen.zone,
        before: seen.servers.flatMap((server) => (server.name === name ? [server.id] : [])),
        builtFrom: builtFrom(host.env),
        privateKey,
        onMade: (told) => {
          made = told;
        },
        onPhase: ({ id, title, seconds }) =>
          recordStep({ id: `cloud:${id}`, title: `on the server: ${title}`, seconds }),
      });
      await finish();
      await tellOfTwins(request, seen, record.imageId);
      return { describe: (seconds) => `${describe(record)}\n  this run ${formatSeconds(seconds)}` };
    } catch (error) {
      await finish(error instanceof Error ? error.message : String(error));
      throw error;
    }
  },
};
