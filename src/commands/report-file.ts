/** report.html of an image or of hosts: what is known of them is gathered here, and written. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type AnyRecord, readRecord } from "../bake/image-record.ts";
import type { CheckReport } from "../check/check-image.ts";
import { formatBytes } from "../formats/bytes.ts";
import { BakeError } from "../errors.ts";
import { version } from "../host/version.ts";
import type { StepProgress } from "../host/progress.ts";
import { writeFileAtomic } from "../host/write-file-atomic.ts";
import { difference, type Item, itemsOf } from "../lock/diff.ts";
import type { Lock } from "../lock/lock.ts";
import { diskRoom } from "../lock/room.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import type { Profile } from "../profile/schema.ts";
import { shownTime } from "../report/parts.ts";
import type { Fact, Report, ReportedImage, ReportedNode, ReportedStep } from "../report/input.ts";
import { reportPage } from "../report/page.ts";
import { imageResults } from "./report.ts";

/** Beside an image: the record of the one before it. */
const previousName = "previous-image.json";

const recordFile = (folder: string): string => join(folder, "image.json");

/** The text of the record that a bake may replace; undefined where there is none. */
export const recordBefore = (folder: string): Promise<string | undefined> =>
  readFile(recordFile(folder), "utf8").catch(() => undefined);

/** Keeps the record of the image before, once another image has taken its place. */
export const keepRecord = async (folder: string, before: string | undefined): Promise<void> => {
  const now = await recordBefore(folder);
  if (before === undefined || now === undefined || before === now) return;
  const idOf = (text: string): unknown => {
    try {
      return (JSON.parse(text) as { bakeId?: unknown }).bakeId;
    } catch {
      return undefined;
    }
  };
  if (idOf(before) !== undefined && idOf(before) !== idOf(now))
    await writeFileAtomic(join(folder, previousName), before);
};

/** A record says no kinds: of what it names, images alone have a tag. */
const itemOf = ({ name, version: of, sha256 }: AnyRecord["artifacts"][number]): Item => ({
  kind: /:[^/]+$/.test(name) ? "container-image" : "artifact",
  name,
  version: of,
  digest: sha256,
});

const factsOf = (record: AnyRecord): Fact[] =>
  (
    [
      ["bake id", record.bakeId],
      ["made", record.madeAt && shownTime(record.madeAt)],
      ["target", record.target],
      ["architecture", record.architecture],
      ["file", record.file],
      ["size", record.size === undefined ? undefined : formatBytes(record.size)],
      ["sha256", record.sha256],
      ["built with", record.accelerator],
      ["image ID", record.imageId],
      ["image name", record.imageName],
      ["region", record.region],
    ] as const
  ).flatMap(([name, value]) => (value === undefined || value === "" ? [] : [[name, value] as const]));

/** @param record Of the image; `former` of the one before it. */
const imageOf = (record: AnyRecord, former: AnyRecord | undefined, plan: NodePlan): ReportedImage => {
  const locked = itemsOf({ artifacts: plan.artifacts ?? [] });
  const items = record.artifacts.map(itemOf);
  const baseOf = ({ base, sourceImage = "" }: AnyRecord): string => base?.sha256 ?? sourceImage;
  const nameOf = ({ base, sourceImage = "" }: AnyRecord): string =>
    base === undefined ? sourceImage : `${base.name}, ${base.sha256.slice(0, 12)}`;
  return {
    facts: factsOf(record),
    ...(record.size !== undefined && { size: record.size }),
    base: {
      name: record.base?.name ?? record.sourceImage ?? "",
      ...(record.base !== undefined && { digest: record.base.sha256 }),
      ...(former !== undefined && baseOf(former) !== baseOf(record) && { before: nameOf(former) }),
    },
    // Sizes are the lock's.
    items: items.map((item) => ({
      ...item,
      ...locked.find(({ name, digest }) => name === item.name && digest === item.digest),
    })),
    ...(record.stages !== undefined && {
      stages: record.stages.map(({ name, id, reused, seconds, madeAt }) => ({
        ...{ name, id },
        ...(reused && { reusedFrom: madeAt === undefined ? "" : shownTime(madeAt) }),
        ...(seconds !== undefined && { seconds }),
      })),
    }),
    ...(former !== undefined && {
      changes: {
        bakeId: former.bakeId,
        ...(former.madeAt !== undefined && { madeAt: shownTime(former.madeAt) }),
        difference: difference(former.artifacts.map(itemOf), items),
      },
    }),
  };
};

/** Those of the bake, also when this run found the image made, then those of this run, with what they took the last time. */
const stepsOf = (record: AnyRecord | undefined, progress: Pick<StepProgress, "times" | "lastTime">): ReportedStep[] => [
  ...(record?.steps ?? []).filter(({ id }) => progress.times.every((step) => step.id !== id)),
  ...progress.times.map(({ id, title, seconds }) => {
    const last = progress.lastTime(id);
    return { id, title, seconds, ...(last !== undefined && { last }) };
  }),
];

/** What a check of an image showed, as a report has it. */
export const nodeOfImage = (name: string, report: CheckReport): ReportedNode => ({
  name,
  results: imageResults(report),
  problems: [],
  boots: report.boots,
  panics: report.panics,
});

/** What stands in every report. */
export interface About {
  readonly profile: string;
  readonly trial: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Values that must not be seen. */
  readonly secrets: readonly string[];
}

const general = ({ profile, trial, now }: About) => ({
  profile,
  trial,
  version,
  at: new Date(now).toISOString(),
});

/**
 * The page about the image in a folder. @param nodes What came of checking it; none where nobody did.
 * @param folder Undefined where no record belongs to the image.
 */
export const imagePage = async (
  about: About,
  {
    folder,
    plan,
    profile,
    lock,
    progress,
    nodes,
  }: {
    readonly folder: string | undefined;
    readonly plan: NodePlan;
    readonly profile: Profile;
    readonly lock?: Lock | undefined;
    readonly progress: Pick<StepProgress, "times" | "lastTime">;
    readonly nodes: readonly ReportedNode[];
  },
): Promise<string> => {
  const record = folder === undefined ? undefined : await readRecord(recordFile(folder));
  const former = folder === undefined ? undefined : await readRecord(join(folder, previousName));
  const disk = lock === undefined ? undefined : diskRoom(profile, lock);
  const report: Report = {
    ...general(about),
    ...(record !== undefined && { image: imageOf(record, former, plan) }),
    nodes,
    ...(disk !== undefined && { disk }),
    steps: stepsOf(record, progress),
  };
  return reportPage(report, about.secrets);
};

/** The page about hosts, or an image of which nothing but the check is known. */
export const nodesPage = (about: About, nodes: readonly ReportedNode[]): string =>
  reportPage({ ...general(about), nodes, steps: [] }, about.secrets);

/** Writes a report. @throws BakeError BK518 */
export const writeReport = async (file: string, text: string): Promise<void> => {
  await writeFile(file, text).catch((error: Error) => {
    throw new BakeError("BK518", `${file} cannot be written: ${error.message}`);
  });
};
