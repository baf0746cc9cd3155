/** image.json of an image that was baked here and imported into the cloud: beside the local one's, which stays what it is. */
import { join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import { writeFileAtomic } from "../host/write-file-atomic.ts";
import { type ImageRecord, readRecord } from "./image-record.ts";

/** Folder of it within the image's own. */
const importedFolder = "huaweicloud";

/** @returns the path of what was written. */
export const publishImported = async (
  folder: string,
  {
    record: { bakeId, profile, architecture, file, sha256, base, artifacts, steps, madeAt },
    region,
    imageId,
    imageName,
  }: { readonly record: ImageRecord; readonly region: string; readonly imageId: string; readonly imageName: string },
): Promise<string> => {
  const path = join(folder, importedFolder, "image.json");
  await makeFolder(join(folder, importedFolder));
  const record = {
    ...{ bakeId, profile, target: "huaweicloud", architecture, region, imageId, imageName },
    imported: { file, sha256 },
    ...{ base, artifacts, steps, madeAt },
  };
  await writeFileAtomic(path, `${JSON.stringify(record, null, 2)}\n`);
  return path;
};

/** ID of the image that was imported last from this folder; undefined where none was, to its end. */
export const readImported = async (folder: string): Promise<string | undefined> =>
  (await readRecord(join(folder, importedFolder, "image.json")))?.imageId;
