/** The disk of an image, as Packer builds it: from the base, or from the layers that another bake has left. */
import { readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Host } from "../host/host.ts";
import { formatSeconds, type StepTime } from "../host/progress.ts";
import { type StageName, stageNames } from "../node/concern.ts";
import { panicsIn } from "../vm/console.ts";
import type { Accelerator } from "../vm/accelerator.ts";
import { makeSshKey } from "../vm/ssh.ts";
import type { ImageRecord } from "./image-record.ts";
import { keepLayers } from "./keep-layers.ts";
import {
  allLayers,
  collectLayers,
  findLayers,
  type Layer,
  layerKey,
  type LayerWanted,
  publishLayers,
  referToLayers,
  type TakenLayer,
  useLayers,
} from "./layers.ts";
import { runPacker } from "./packer.ts";
import type { PreparedBake } from "./targets.ts";

/** A bake in a local VM. */
export interface BakeInput extends PreparedBake {
  readonly accelerator: Accelerator;
  /** Times of phases that are not steps of `host.progress`. */
  readonly onPhase: (phase: StepTime) => void;
}

/** What became of a stage. */
type StageResult = NonNullable<ImageRecord["stages"]>[number];

interface BuiltDisk {
  /** With everything below it, the whole disk. */
  readonly disk: string;
  /** An archive with files of the packages that the bake installed. */
  readonly packages: string;
  readonly stages: readonly StageResult[];
  /** Keeps the layers of it. To be called when the disk is read and found clean: its files go. */
  readonly keep: () => Promise<void>;
}

/** Milliseconds between two notes that layers are in use. */
const heartbeat = 5 * 60 * 1000;

/**
 * Builds the disk.
 * @param base As a disk.
 * @param before Is told which stages are made, before anything is: none that comes out of a layer. It is told again when layers
 * turn out to be of no use.
 * @throws BakeError BK401 when the build fails, and what `before` throws.
 */
export const buildDisk = async (
  host: Host,
  input: BakeInput,
  {
    workFolder,
    logDir,
    base,
    before,
  }: {
    readonly workFolder: string;
    readonly logDir: string;
    readonly base: LayerWanted["base"];
    readonly before: (stages: readonly StageName[]) => Promise<void>;
  },
): Promise<BuiltDisk> => {
  const { accelerator, store, stages = [] } = input;
  const output = join(workFolder, "packer");
  const packages = join(workFolder, "packages.tar.gz");
  const key = stages.length === 0 ? await makeSshKey(host, workFolder) : await layerKey(host);
  const wanted: LayerWanted = { stages, base, publicKey: key.publicKey };
  const found =
    stages.length === 0 || input.noCache === true
      ? []
      : await host.progress.step("layers", "compare layers with their digests", () => findLayers(host, wanted));
  let started = new Map<StageName, number>();

  const build = async (from: readonly Layer[]) => {
    started = new Map();
    const left = stageNames.slice(from.length);
    const start = from.at(-1);
    const keeper =
      stages.length === 0 ? undefined : await keepLayers(host, { output, workFolder, artifacts: store.root });
    const title = `Packer builds the image (${accelerator.accel}${start === undefined ? "" : `, after stage ${start.stage}`})`;
    let end: { readonly top: string; readonly taken: readonly TakenLayer[] } | undefined;
    try {
      await host.progress.step("packer", title, (update) =>
        runPacker(host, {
          packer: input.packer.path,
          environment: input.packer.environment,
          template: join(input.folder, "packer"),
          source: "qemu.node",
          variables: {
            base: start?.disk ?? base.path,
            // A layer has just been read.
            base_checksum: start === undefined ? `sha256:${base.sha256}` : "none",
            artifacts: store.root,
            output,
            log: resolve(logDir),
            packages,
            ssh_private_key_file: key.privateKeyFile,
            ssh_public_key: key.publicKey,
            accelerator: accelerator.accel,
            cpu_model: accelerator.cpuModel,
            stages: left.join(" "),
            ...keeper?.variables,
            ...(accelerator.firmware !== undefined && { firmware: accelerator.firmware }),
          },
          ...(input.basePassword !== undefined && { sensitive: { root_password: input.basePassword } }),
          logDir,
          onPhase: input.onPhase,
          onLine: (line) => {
            keeper?.onLine(line);
            const name = /^bake: stage (\w+)$/.exec(line.trim())?.[1];
            const stage = stageNames.find((each) => each === name);
            if (stage !== undefined) started.set(stage, host.now());
          },
          update,
        }),
      );
    } finally {
      end = await keeper?.end();
    }
    return { from, top: end?.top ?? join(output, "image.qcow2"), taken: end?.taken ?? [] };
  };
  const again = async (from: readonly Layer[], why: string) => {
    host.progress.note(`  ${why}`);
    await rm(output, { recursive: true, force: true });
    await before(stageNames.slice(from.length));
    return build(from);
  };
  const beat = setInterval(() => void useLayers(found), heartbeat).unref();
  try {
    await before(stageNames.slice(found.length));
    const built = await build(found).catch(async (error: unknown) => {
      host.signal.throwIfAborted();
      const console = await readFile(join(logDir, "console.log"), "utf8").catch(() => "");
      if (accelerator.accel === "tcg" && panicsIn(console).length > 0)
        return again(found, "emulation panicked the build VM's kernel: once more");
      // Whoever cannot get in has nothing of this bake to blame.
      if (found.length === 0 || started.size > 0) throw error;
      return again([], "the build VM could not be entered from its layers: once more, from the base");
    });
    const ended = host.now();
    const { from, top, taken } = built;
    const results = stages.map(({ name, id }, index): StageResult => {
      const layer = from[index];
      if (layer !== undefined) return { name, id, reused: true, madeAt: layer.madeAt };
      const next = stageNames[index + 1];
      const until = (next === undefined ? undefined : started.get(next)) ?? ended;
      const since = started.get(name);
      return {
        name,
        id,
        reused: false,
        ...(since !== undefined && { seconds: Math.round((until - since) / 100) / 10 }),
      };
    });
    return {
      disk: top,
      packages,
      stages: results,
      keep: async () => {
        if (stages.length === 0) return;
        const inputs = input.plan.base === undefined ? [] : [input.plan.base.sha256];
        try {
          await host.progress.step("keep-layers", `keep ${taken.length} layers`, async () => {
            // The disk was read since, and nobody noted that these are in use.
            const there = new Set((await allLayers(host.cacheDir)).map(({ name }) => name));
            if (!from.every(({ name }) => there.has(name))) throw new Error("a layer below them has gone");
            const layers = await publishLayers(host, wanted, { below: from, taken, inputs });
            await referToLayers(host.cacheDir, { folder: resolve(input.folder), layers });
            await collectLayers(host);
          });
        } catch (error) {
          // The image is whole without them.
          host.signal.throwIfAborted();
          host.progress.note(`  layers could not be kept, the next bake makes all anew: ${(error as Error).message}`);
        }
      },
    };
  } finally {
    clearInterval(beat);
  }
};

/** One line a stage, for people. Pure. */
export const describeStages = (stages: readonly StageResult[]): string[] =>
  stages.map(({ name, reused, seconds, madeAt }) => {
    const took = seconds === undefined ? "" : ` in ${formatSeconds(seconds)}`;
    return `  stage ${name.padEnd(7)} ${reused ? `reused${madeAt === undefined ? "" : `, made ${madeAt}`}` : `made${took}`}`;
  });
