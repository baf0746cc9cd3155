/** Uploads that an import left in a bucket: files, and parts of files that were never put together. Both cost money. */
import type { Leftover } from "../leftovers.ts";
import type { Bucket } from "./bucket.ts";
import { lastGrowth, listUploads } from "./upload.ts";
import { elements } from "./xml.ts";

/** What a key has behind its prefix: bake id, beginning of the file's digest. */
const importedFile = /^[A-Za-z0-9_-]{43}-[0-9a-f]{16}\.qcow2$/;

const listObjects = async (bucket: Bucket, prefix: string): Promise<{ key: string; modified: string }[]> => {
  const all: { key: string; modified: string }[] = [];
  for (let marker = ""; ; ) {
    const { text } = await bucket.call("listObjects", {
      query: { prefix, "max-keys": "1000", ...(marker !== "" && { marker }) },
    });
    for (const each of elements(text, "Contents"))
      all.push({ key: elements(each, "Key")[0] ?? "", modified: elements(each, "LastModified")[0] ?? "" });
    const next = elements(text, "NextMarker")[0] ?? all.at(-1)?.key ?? "";
    if (elements(text, "IsTruncated")[0] !== "true" || next === marker) return all;
    marker = next;
  }
};

/** @param bakeId Of this bake alone. @throws CloudError */
export const findUploads = async (bucket: Bucket, prefix: string, bakeId?: string): Promise<Leftover[]> => {
  const isOurs = (key: string): boolean =>
    key.startsWith(prefix) &&
    importedFile.test(key.slice(prefix.length)) &&
    (bakeId === undefined || key.startsWith(`${prefix}${bakeId}`));
  const objects = (await listObjects(bucket, prefix)).filter(({ key }) => isOurs(key));
  const uploads = await Promise.all(
    (await listUploads(bucket, prefix))
      .filter(({ key }) => isOurs(key))
      .map(async (upload) => ({ ...upload, grown: await lastGrowth(bucket, upload) })),
  );
  return [
    ...objects.map(({ key, modified }) => ({
      kind: "object" as const,
      id: key,
      name: `${bucket.name}:${key}`,
      created: modified,
      ours: true,
      why: "an import of this profile uploaded it",
    })),
    ...uploads.flatMap(({ key, id, initiated, grown }) =>
      // It was put together, or removed, while it was looked at.
      grown === undefined
        ? []
        : [
            {
              kind: "upload" as const,
              id,
              name: key,
              created: initiated,
              // A large file over a slow line takes longer than any bake: while parts come it is under way.
              lastSign: grown,
              ours: true,
              why: `an import of this profile began it in ${bucket.name}, and nothing came since ${grown}`,
            },
          ],
    ),
  ];
};

/** @throws CloudError */
export const removeUpload = async (bucket: Bucket, { kind, id, name }: Leftover): Promise<void> => {
  if (kind === "object") await bucket.call("deleteObject", { key: id });
  else await bucket.call("abortUpload", { key: name, query: { uploadId: id } });
};
