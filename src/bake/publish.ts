/** Puts what was baked under its name, so that no cut between two writes leaves a wrong claim. */
import { copyFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../host/write-file-atomic.ts";
import { withFolderLock } from "../render/write.ts";

interface Published {
  /** For image.json: names what was baked by its digest or ID. */
  readonly record: Readonly<Record<string, unknown>>;
  /** provenance.json, as text. Absent where this machine cannot tell how it was made: then there is no such file. */
  readonly statement?: string;
}

const writeRecord = async (folder: string, { record, statement }: Published): Promise<void> => {
  const provenance = join(folder, "provenance.json");
  await (statement === undefined ? rm(provenance, { force: true }) : writeFile(provenance, statement));
  await writeFileAtomic(join(folder, "image.json"), `${JSON.stringify(record, null, 2)}\n`);
};

/** Writes the record of what only the cloud has. @throws BakeError BK405 when another bake writes into `folder`. */
export const publishRecord = (folder: string, published: Published): Promise<void> =>
  withFolderLock(folder, () => writeRecord(folder, published));

/**
 * Moves a finished image into `folder`, as image.qcow2, and writes its record.
 * image.json names the image by digest, so it goes first away and last in.
 * @param fresh The finished image; on another file system it is copied.
 * @throws BakeError BK405 when another bake writes into `folder`.
 */
export const publishImage = (folder: string, fresh: string, published: Published): Promise<void> =>
  withFolderLock(folder, async () => {
    const arriving = join(folder, "image.qcow2.new");
    try {
      await rename(fresh, arriving).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code !== "EXDEV") throw error;
        await copyFile(fresh, arriving);
      });
      await rm(join(folder, "image.json"), { force: true });
      await rename(arriving, join(folder, "image.qcow2"));
      await writeRecord(folder, published);
    } finally {
      await rm(arriving, { force: true });
    }
  });
