/**
 * Signatures for Huawei Cloud over those of the official SDK's own signer: 1,000 each, the same requests, medians of interleaved
 * rounds; and how many calls a bake comes to. Run it by `bin/bench huaweicloud`; takes a few seconds.
 */
import { AKSKSigner } from "@huaweicloud/huaweicloud-sdk-core/auth/AKSKSigner.js";
import { calls } from "../src/huaweicloud/calls.ts";
import { authorization, sdkDate } from "../src/huaweicloud/sign.ts";

const rounds = 11;
const each = 1000;
const credentials = { accessKey: "AccessKey", secretKey: "SecretKey" };
const date = sdkDate(Date.UTC(2026, 10, 26, 13));
const host = "ecs.cn-north-4.myhuaweicloud.com";

const requests = Array.from({ length: each }, (_, at) => ({
  method: "POST" as const,
  path: `/v1/0123456789abcdef0123456789abcdef/cloudservers/${at}/action`,
  query: [["limit", String(at)] as const],
  headers: { host, "x-sdk-date": date, "x-project-id": "0123456789abcdef0123456789abcdef" },
  body: JSON.stringify({ "os-stop": { servers: [{ id: `server-${at}` }] } }),
}));

const ours = (): string => requests.map((request) => authorization(request, credentials)).join();
// Its own types ask for a whole client.
const signer = AKSKSigner as unknown as { sign: (request: object, credential: object) => Record<string, string> };
const official = { getAk: () => credentials.accessKey, getSk: () => credentials.secretKey };
const theirs = (): string =>
  requests
    .map(({ method, path, query, headers: { "x-sdk-date": stamp, ...others }, body }) => {
      const request = {
        endpoint: `https://${host}${path}`,
        method,
        headers: { ...others, "X-Sdk-Date": stamp },
        queryParams: Object.fromEntries(query),
        data: JSON.parse(body) as object,
      };
      return signer.sign(request, official)["Authorization"] ?? "";
    })
    .join();

const milliseconds = (work: () => string): number => {
  const from = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - from) / 1e6;
};
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const signature = (header: string): string => /Signature=([0-9a-f]{64})/.exec(header)?.[1] ?? "none";
if (signature(ours()) !== signature(theirs()))
  process.stdout.write("the first signatures differ: this is no comparison\n");

const times = Array.from({ length: rounds }, () => [milliseconds(ours), milliseconds(theirs)] as const);
const [own, sdk] = [median(times.map(([time]) => time)), median(times.map(([, time]) => time))];
process.stdout.write(
  [
    `${each} signatures: ${own.toFixed(1)} ms, the official SDK's own signer ${sdk.toFixed(1)} ms: ${(own / sdk).toFixed(2)} (aim at most 1.0)`,
    // Counted in test/unit/huaweicloud-bake.test.ts.
    `calls of a bake: the plugin's 33 (36 with a public address); bake's own fewer than 25, of ${Object.keys(calls).length} kinds that it knows`,
    "",
  ].join("\n"),
);
