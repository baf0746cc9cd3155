/**
 * Takes layers of the disk that Packer builds on, while the build runs: behind a stage the guest waits (templates/node/stages.sh), the
 * machine stands still, QEMU goes on in a new file, and the one before is the layer. Another boot for each stage would cost minutes.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import * as z from "zod";
import type { Host } from "../host/host.ts";
import { makeFolder } from "../host/make-folder.ts";
import { currentProcess } from "../host/process-identity.ts";
import { randomName } from "../host/random-name.ts";
import { type StageName, stageNames } from "../node/concern.ts";
import { connectQmp, type Qmp } from "../vm/qmp.ts";
import type { TakenLayer } from "./layers.ts";

/** Milliseconds: the guest waits for longer than that. A layer that came later may hold a part of the next stage. */
const latest = 45_000;

/** What is read of `query-block`'s answer. */
const Blocks = z.array(
  z.object({
    inserted: z
      .object({
        file: z.string(),
        "node-name": z.string(),
        ro: z.boolean(),
        image: z.object({ "virtual-size": z.number() }),
      })
      .optional(),
  }),
);

/** The machine's disk as QEMU has it now. @throws Error when there is none in that file. */
const diskIn = async (qmp: Qmp, file: string) => {
  const disk = Blocks.parse(await qmp.execute("query-block"))
    .flatMap(({ inserted }) => (inserted === undefined || inserted.ro ? [] : [inserted]))
    .find((each) => each.file === file || basename(each.file) === basename(file));
  if (disk === undefined) throw new Error(`QEMU has no disk in ${file}`);
  return { node: disk["node-name"], size: disk.image["virtual-size"] };
};

interface LayerKeeper {
  /** Variables of Packer's template. */
  readonly variables: Readonly<Record<string, string>>;
  /** Is told each line of the build. */
  readonly onLine: (line: string) => void;
  /** Once the build is over: the file that holds the end of it, and the layers below, in order. */
  readonly end: () => Promise<{ readonly top: string; readonly taken: readonly TakenLayer[] }>;
}

/**
 * Makes ready to take the layers of one build. Whatever goes wrong with one is noted; the build goes on, and takes no more.
 * @param output The folder in which Packer makes its disk, `image.qcow2`.
 * @param workFolder Where the files are that follow on it.
 * @param artifacts The folder that Packer serves to the guest: the answer is a file of it.
 */
export const keepLayers = async (
  host: Host,
  {
    output,
    workFolder,
    artifacts,
  }: { readonly output: string; readonly workFolder: string; readonly artifacts: string },
): Promise<LayerKeeper> => {
  // In a folder of its own: a socket's path ends at 108 bytes.
  const folder = await mkdtemp(join(tmpdir(), "bake-layers-"));
  const socket = join(folder, "qmp");
  const answers = `tmp/layers-${currentProcess()}-${randomName()}`;
  await makeFolder(join(artifacts, "tmp"));
  const answerOf = (stage: StageName): string => join(artifacts, `${answers}-${stage}`);
  const taken: TakenLayer[] = [];
  let top = join(output, "image.qcow2");
  let qmp: Qmp | undefined;
  let isOver = false;
  let working: Promise<void> = Promise.resolve();

  const goOnInNewFile = async (machine: Qmp, stage: StageName): Promise<void> => {
    const { node, size } = await diskIn(machine, top);
    const next = join(workFolder, `after-${stage}.qcow2`);
    // QEMU has locked what it lies on.
    const backing = ["-u", "-b", top, "-F", "qcow2"];
    await host.run("qemu-img", ["create", "-q", "-f", "qcow2", ...backing, next, String(size)]);
    // As Packer's own drive.
    await machine.execute("blockdev-add", {
      ...{ driver: "qcow2", "node-name": `after-${stage}`, backing: null },
      ...{ discard: "unmap", "detect-zeroes": "unmap" },
      file: { driver: "file", filename: next, discard: "unmap" },
    });
    await machine.execute("blockdev-snapshot", { node, overlay: `after-${stage}` });
    taken.push({ stage, file: top });
    top = next;
  };

  const take = async (stage: StageName, asked: number): Promise<void> => {
    try {
      if (isOver) return;
      qmp ??= await connectQmp(socket, 5000, host);
      await qmp.execute("stop");
      try {
        await goOnInNewFile(qmp, stage);
      } finally {
        await qmp.execute("cont");
      }
      if (host.now() - asked > latest) throw new Error("it came too late");
    } catch (error) {
      drop(stage);
      host.progress.note(`      no layer of stage ${stage}: ${(error as Error).message}`);
    } finally {
      await writeFile(answerOf(stage), "").catch(() => undefined);
    }
  };
  /** This layer is none, and none follows on it. Its file stays a part of the disk. */
  const drop = (stage: StageName): void => {
    isOver = true;
    const index = taken.findIndex((each) => each.stage === stage);
    if (index !== -1) taken.splice(index);
  };

  return {
    variables: { layers: answers, qmp: socket },
    onLine: (line) => {
      const [, no, name] = /^bake: (no )?layer (\w+)$/.exec(line.trim()) ?? [];
      const stage = stageNames.find((each) => each === name);
      if (stage === undefined) return;
      const asked = host.now();
      working = working.then(() => (no === undefined ? take(stage, asked) : drop(stage)));
    },
    end: async () => {
      await working;
      qmp?.close();
      for (const stage of stageNames) await rm(answerOf(stage), { force: true });
      await rm(folder, { recursive: true, force: true });
      return { top, taken };
    },
  };
};
