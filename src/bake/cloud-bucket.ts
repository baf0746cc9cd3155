/** A bucket of the object storage, with the credentials of the environment. */
import { type Bucket, openBucketOf } from "../huaweicloud/obs/bucket.ts";
import type { Host } from "../host/host.ts";
import { makeHttp } from "../store/http.ts";
import { cloudSettings } from "./cloud-client.ts";

/** Milliseconds without an answer, or without a byte taken: parts are large. */
const stall = 60_000;

/** @throws BakeError BK410 without credentials, BK425 for an endpoint that cannot be used, BK437 for a name that cannot. */
export const openBucket = (
  host: Pick<Host, "env" | "now" | "sleep" | "random" | "signal">,
  region: string,
  name: string,
): Bucket => openBucketOf(makeHttp({ env: host.env, stall }), host, cloudSettings(host, region), name);
