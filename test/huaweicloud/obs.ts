/** The object storage of the emulated cloud: buckets, objects and uploads in parts, as far as an import uses them. Strict. */
import { createHash, createHmac } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { KnownKey } from "./signature.ts";

interface StoredObject {
  readonly bytes: Buffer;
  readonly metadata: Readonly<Record<string, string>>;
  readonly modified: string;
}

interface Upload {
  readonly id: string;
  readonly key: string;
  readonly initiated: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly parts: Map<number, Buffer>;
  /** When each part came. */
  readonly modified: Map<number, string>;
}

export interface StoredBucket {
  readonly region: string;
  readonly objects: Map<string, StoredObject>;
  readonly uploads: Map<string, Upload>;
}

export const makeBucket = (region = "cn-north-4"): StoredBucket => ({ region, objects: new Map(), uploads: new Map() });

export interface ObsWire {
  readonly method: string;
  readonly bucket: string;
  /** The region whose host was asked. */
  readonly region: string;
  /** Path and query as they were sent. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface ObsGiven {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** 100 KB, and how many. */
const [leastPart, mostParts] = [102_400, 10_000];

const md5 = (bytes: Buffer): string => createHash("md5").update(bytes).digest("hex");

const error = (status: number, code: string, message: string): ObsGiven => ({
  status,
  body: `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<Error><Code>${code}</Code><Message>${message}</Message><RequestId>obs-request</RequestId><HostId>host</HostId></Error>`,
});

/** Which route a request is about: its name in `calls`, and for faults. */
export const obsRoute = ({ method, target }: Pick<ObsWire, "method" | "target">): string => {
  const { pathname, searchParams } = new URL(`https://x${target}`);
  const names = ["partNumber", "uploadId", "uploads", "prefix"].filter((name) => searchParams.has(name));
  // A list of uploads has a prefix besides.
  const shown = names.includes("uploads") ? ["uploads"] : names;
  return `OBS ${method} ${pathname === "/" ? "/" : "/{key}"}${shown.length === 0 ? "" : `?${shown.join("&")}`}`;
};

export const obsRoutes = [
  "OBS HEAD /",
  "OBS HEAD /{key}",
  "OBS GET /?prefix",
  "OBS GET /?uploads",
  "OBS POST /{key}?uploads",
  "OBS GET /{key}?uploadId",
  "OBS PUT /{key}?partNumber&uploadId",
  "OBS POST /{key}?uploadId",
  "OBS DELETE /{key}?uploadId",
  "OBS DELETE /{key}",
] as const;

/** Every parameter that makes a resource of its own in the service's reference; the client need not know them all. */
const signedParameters = new Set([
  ...["acl", "delete", "partNumber", "uploadId", "uploads", "versionId", "versions", "append", "position", "lifecycle"],
]);

/** What is wrong with a signature; undefined when nothing is. It shares nothing with src/huaweicloud/obs/sign.ts. */
const signatureProblem = (
  { method, bucket, target, headers }: ObsWire,
  keys: readonly KnownKey[],
  now: number,
): ObsGiven | undefined => {
  const [, access = "", signature = ""] = /^OBS ([^:]+):([A-Za-z0-9+/]{27}=)$/.exec(headers.authorization ?? "") ?? [];
  const key = keys.find(({ accessKey }) => accessKey === access);
  if (key === undefined) return error(403, "InvalidAccessKeyId", "The OBS Access Key Id you provided does not exist.");
  const date = headers.date ?? "";
  const sent = Date.parse(date);
  if (Number.isNaN(sent)) return error(403, "AccessDenied", "OBS authentication requires a valid Date.");
  if (Math.abs(sent - now) > 15 * 60_000)
    return error(
      403,
      "RequestTimeTooSkewed",
      "The difference between the request time and the server's time is too large.",
    );
  if (headers["x-obs-security-token"] !== key.securityToken)
    return error(403, "InvalidAccessKeyId", "The security token is wrong.");
  const amz = Object.entries(headers)
    .filter(([name]) => name.startsWith("x-obs-"))
    .map(([name, value]) => `${name}:${String(value).trim()}`)
    .toSorted();
  const [path = "", query = ""] = target.split("?");
  const parameters = query
    .split("&")
    .filter((pair) => signedParameters.has(pair.split("=")[0] ?? ""))
    .toSorted()
    .map((pair) => decodeURIComponent(pair));
  const lines = [method, headers["content-md5"] ?? "", headers["content-type"] ?? "", date, ...amz];
  const wanted = createHmac("sha1", key.secretKey)
    .update(`${lines.join("\n")}\n/${bucket}${path}${parameters.length > 0 ? `?${parameters.join("&")}` : ""}`)
    .digest("base64");
  return wanted === signature
    ? undefined
    : error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.");
};

const complete = (bucket: StoredBucket, upload: Upload, body: string, now: number): ObsGiven => {
  const wanted = [
    ...body.matchAll(/<Part><PartNumber>(\d+)<\/PartNumber><ETag>"?([0-9a-f]{32})"?<\/ETag><\/Part>/g),
  ].map(([, number, etag]) => ({ number: Number(number), etag }));
  if (!body.startsWith("<CompleteMultipartUpload>") || wanted.length === 0)
    return error(400, "MalformedXML", "The XML you provided was not well-formed.");
  if (wanted.some(({ number }, at) => number <= (wanted[at - 1]?.number ?? 0)))
    return error(400, "InvalidPartOrder", "Parts must be in ascending order.");
  const parts = wanted.map(({ number, etag }) => {
    const bytes = upload.parts.get(number);
    return bytes !== undefined && md5(bytes) === etag ? bytes : undefined;
  });
  if (parts.includes(undefined))
    return error(400, "InvalidPart", "One or more of the specified parts could not be found.");
  const whole = parts as Buffer[];
  if (whole.slice(0, -1).some(({ length }) => length < leastPart))
    return error(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size.");
  bucket.objects.set(upload.key, {
    bytes: Buffer.concat(whole),
    metadata: upload.metadata,
    modified: new Date(now).toISOString(),
  });
  bucket.uploads.delete(upload.id);
  return {
    status: 200,
    body: `<CompleteMultipartUploadResult><Key>${upload.key}</Key></CompleteMultipartUploadResult>`,
  };
};

let last = 0;

/** Answers a request. @param now By the emulator's clock. */
export const obsAnswer = (
  buckets: ReadonlyMap<string, StoredBucket>,
  keys: readonly KnownKey[],
  wire: ObsWire,
  now: number,
): ObsGiven => {
  const problem = signatureProblem(wire, keys, now);
  if (problem !== undefined) return problem;
  const bucket = buckets.get(wire.bucket);
  if (bucket === undefined) return error(404, "NoSuchBucket", "The specified bucket does not exist.");
  const { pathname, searchParams } = new URL(`https://x${wire.target}`);
  const key = decodeURIComponent(pathname.slice(1));
  const { headers, body } = wire;
  const upload = (): Upload | undefined => {
    const found = bucket.uploads.get(searchParams.get("uploadId") ?? "");
    return found?.key === key ? found : undefined;
  };
  const noUpload = error(404, "NoSuchUpload", "The specified multipart upload does not exist.");
  const prefix = searchParams.get("prefix") ?? "";
  switch (obsRoute(wire)) {
    case "OBS HEAD /":
      return { status: 200, headers: { "x-obs-bucket-location": bucket.region } };
    case "OBS HEAD /{key}": {
      const found = bucket.objects.get(key);
      return found === undefined
        ? { status: 404 }
        : { status: 200, headers: { "content-length": String(found.bytes.length), ...found.metadata } };
    }
    case "OBS GET /?prefix": {
      const found = [...bucket.objects].filter(([name]) => name.startsWith(prefix));
      return {
        status: 200,
        body: `<ListBucketResult><IsTruncated>false</IsTruncated>${found
          .map(
            ([name, { bytes, modified }]) =>
              `<Contents><Key>${name}</Key><LastModified>${modified}</LastModified><ETag>"${md5(bytes)}"</ETag><Size>${bytes.length}</Size></Contents>`,
          )
          .join("")}</ListBucketResult>`,
      };
    }
    case "OBS GET /?uploads": {
      const found = [...bucket.uploads.values()].filter((each) => each.key.startsWith(prefix));
      return {
        status: 200,
        body: `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${found
          .map(
            ({ key: name, id, initiated }) =>
              `<Upload><Key>${name}</Key><UploadId>${id}</UploadId><Initiator><ID>d0</ID></Initiator><Initiated>${initiated}</Initiated></Upload>`,
          )
          .join("")}</ListMultipartUploadsResult>`,
      };
    }
    case "OBS POST /{key}?uploads": {
      const id = `0000018A${String(++last).padStart(24, "0")}`;
      const metadata = Object.fromEntries(
        Object.entries(headers).flatMap(([name, value]) =>
          name.startsWith("x-obs-meta-") ? [[name, String(value)]] : [],
        ),
      );
      bucket.uploads.set(id, {
        id,
        key,
        initiated: new Date(now).toISOString(),
        metadata,
        parts: new Map(),
        modified: new Map(),
      });
      return {
        status: 200,
        body: `<InitiateMultipartUploadResult><Bucket>${wire.bucket}</Bucket><Key>${key}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
      };
    }
    case "OBS GET /{key}?uploadId": {
      const found = upload();
      if (found === undefined) return noUpload;
      const size = Number(searchParams.get("max-parts") ?? 1000);
      const after = Number(searchParams.get("part-number-marker") ?? 0);
      const parts = [...found.parts].filter(([number]) => number > after).toSorted(([a], [b]) => a - b);
      const page = parts.slice(0, size);
      return {
        status: 200,
        body: `<ListPartsResult><IsTruncated>${parts.length > page.length}</IsTruncated><NextPartNumberMarker>${page.at(-1)?.[0] ?? 0}</NextPartNumberMarker>${page
          .map(
            ([number, bytes]) =>
              `<Part><PartNumber>${number}</PartNumber><LastModified>${found.modified.get(number) ?? found.initiated}</LastModified><ETag>"${md5(bytes)}"</ETag><Size>${bytes.length}</Size></Part>`,
          )
          .join("")}</ListPartsResult>`,
      };
    }
    case "OBS PUT /{key}?partNumber&uploadId": {
      const found = upload();
      const number = Number(searchParams.get("partNumber"));
      if (found === undefined) return noUpload;
      if (!Number.isInteger(number) || number < 1 || number > mostParts)
        return error(400, "InvalidArgument", "Part number must be an integer between 1 and 10000.");
      if (body.length > 5 * 1024 ** 3) return error(400, "EntityTooLarge", "A part has 5 GB at most.");
      const given = headers["content-md5"];
      if (given === undefined) return error(400, "InvalidDigest", "The emulator asks for a digest of each part.");
      if (Buffer.from(String(given), "base64").toString("hex") !== md5(body))
        return error(400, "BadDigest", "The Content-MD5 you specified did not match what we received.");
      found.parts.set(number, body);
      found.modified.set(number, new Date(now).toISOString());
      return { status: 200, headers: { etag: `"${md5(body)}"` } };
    }
    case "OBS POST /{key}?uploadId": {
      const found = upload();
      return found === undefined ? noUpload : complete(bucket, found, body.toString("utf8"), now);
    }
    case "OBS DELETE /{key}?uploadId": {
      const found = upload();
      if (found === undefined) return noUpload;
      bucket.uploads.delete(found.id);
      return { status: 204 };
    }
    case "OBS DELETE /{key}":
      bucket.objects.delete(key);
      return { status: 204 };
    default:
      return error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.");
  }
};
