/** Every call to the object storage that an import of an image comes to; the IAM policy has them too. It signs in a way of its own. */
import type { CallRow } from "../call-row.ts";

export const obsCalls = {
  showBucket: {
    service: "obs",
    method: "HEAD",
    path: "/",
    what: "see that the bucket is there, and in which region",
    rights: ["obs:bucket:HeadBucket"],
    for: ["catalog"],
  },
  showObject: {
    service: "obs",
    method: "HEAD",
    path: "/{key}",
    what: "see whether the file is there already, and whole",
    rights: ["obs:object:GetObject"],
    for: ["catalog"],
  },
  listObjects: {
    service: "obs",
    method: "GET",
    path: "/?prefix",
    what: "find uploaded files that an import left",
    rights: ["obs:bucket:ListBucket"],
    for: ["catalog"],
  },
  listUploads: {
    service: "obs",
    method: "GET",
    path: "/?uploads",
    what: "find uploads that were cut off: they go on, or are removed",
    rights: ["obs:bucket:ListBucketMultipartUploads"],
    for: ["catalog"],
  },
  startUpload: {
    service: "obs",
    method: "POST",
    path: "/{key}?uploads",
    what: "begin an upload in parts",
    rights: ["obs:object:PutObject"],
    for: ["catalog"],
    // Twice it begins two; those that are not needed are removed in the end.
    idempotent: true,
  },
  listParts: {
    service: "obs",
    method: "GET",
    path: "/{key}?uploadId",
    what: "see which parts are there already",
    rights: ["obs:object:ListMultipartUploadParts"],
    for: ["catalog"],
  },
  putPart: {
    service: "obs",
    method: "PUT",
    path: "/{key}?partNumber&uploadId",
    what: "upload a part",
    rights: ["obs:object:PutObject"],
    for: ["catalog"],
    idempotent: true,
  },
  completeUpload: {
    service: "obs",
    method: "POST",
    path: "/{key}?uploadId",
    what: "put the parts together",
    rights: ["obs:object:PutObject"],
    for: ["catalog"],
  },
  abortUpload: {
    service: "obs",
    method: "DELETE",
    path: "/{key}?uploadId",
    what: "remove an upload that is not needed",
    rights: ["obs:object:AbortMultipartUpload"],
    for: ["catalog"],
    idempotent: true,
  },
  deleteObject: {
    service: "obs",
    method: "DELETE",
    path: "/{key}",
    what: "remove the file once the image is made",
    rights: ["obs:object:DeleteObject"],
    for: ["catalog"],
    idempotent: true,
  },
} as const satisfies Readonly<Record<string, CallRow>>;

export type ObsCallName = keyof typeof obsCalls;
