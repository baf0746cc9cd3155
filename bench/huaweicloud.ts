/**
 * Four measures of a bake in the emulated cloud. Signatures over those of the official SDK's own signer: 1,000 each, the same
 * requests, medians of interleaved rounds. Calls of a bake beside the plugin's. Time of a bake above provisioning and the cloud's work:
 * the plugin's waits by its stand-in, and bake's own by this machine's clock. What is left after a kill at every call, and how much of
 * it is named, by the bake that was running and by `bake catalog leftovers`. Run it by `bin/bench huaweicloud`; takes some minutes.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AKSKSigner } from "@huaweicloud/huaweicloud-sdk-core/auth/AKSKSigner.js";
import { findLeftovers } from "../src/huaweicloud/leftovers.ts";
import { authorization, sdkDate } from "../src/huaweicloud/sign.ts";
import { serverPrefix } from "../src/targets/huaweicloud.ts";
import { cloudOf } from "../test/huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../test/huaweicloud/emulator.ts";
import {
  bakeOnce,
  callsOfPlugin,
  pluginOrder,
  readyForBake,
  type Run,
  thingsIn,
} from "../test/huaweicloud/one-bake.ts";
import { median } from "./parts/median.ts";

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
const signature = (header: string): string => /Signature=([0-9a-f]{64})/.exec(header)?.[1] ?? "none";
if (signature(ours()) !== signature(theirs()))
  process.stdout.write("the first signatures differ: this is no comparison\n");

const rows = Array.from({ length: rounds }, () => [milliseconds(ours), milliseconds(theirs)] as const);
const [own, sdk] = [median(rows.map(([time]) => time)), median(rows.map(([, time]) => time))];
const say = (text: string): void => void process.stdout.write(`${text}\n`);
say(
  `${each} signatures: ${own.toFixed(1)} ms, the official SDK's own signer ${sdk.toFixed(1)} ms: ${(own / sdk).toFixed(2)} (aim at most 1.0)`,
);

let took = 0;

/** A bake in a cloud of its own. */
const withBake = async <T>(
  run: Run,
  look: (cloud: Emulator, baked: Awaited<ReturnType<typeof bakeOnce>>, folder: string) => T | Promise<T>,
): Promise<T> => {
  const folder = mkdtempSync(join(tmpdir(), "bake-bench-cloud-"));
  const emulator = await startEmulator();
  try {
    readyForBake(emulator);
    const from = process.hrtime.bigint();
    const baked = await bakeOnce(
      { emulator, folder },
      { ...run, env: { STAND_IN_TIMES: join(folder, "times"), ...run.env } },
    );
    took = Number(process.hrtime.bigint() - from) / 1e9;
    return await look(emulator, baked, folder);
  } finally {
    await emulator.close();
    rmSync(folder, { recursive: true, force: true });
  }
};

await withBake({ env: { STAND_IN_LOOKS: "21" }, address: false }, (cloud, { error, text }, folder) => {
  if (error !== undefined) throw new Error(text);
  const plugin = callsOfPlugin(cloud).length;
  say(`calls of a bake: the plugin's ${plugin}, bake's own ${cloud.calls.length - plugin}`);
  const times = JSON.parse(readFileSync(join(folder, "times"), "utf8")) as {
    all: number;
    provision: number;
    took: number;
  };
  const waits = times.all - times.provision;
  // A second of the plugin's is a millisecond of its stand-in's.
  const besides = took - (waits + times.provision) / 1000;
  say(
    `time of a bake above provisioning and the cloud's work: ${(waits + besides).toFixed(1)} s (aim at most 300): the plugin's waits ${waits} s, bake and all calls ${besides.toFixed(1)} s here`,
  );
});

const left = { all: 0, told: 0, listed: 0, kills: 0 };
for (const when of ["before", "after"]) {
  for (const at of pluginOrder.keys()) {
    await withBake({ env: { STAND_IN_DIE: `${at + 1}:${when}`, STAND_IN_LOOKS: "1" } }, async (cloud, { text }) => {
      const things = thingsIn(cloud);
      // As another machine finds it, which knows the profile's name alone.
      const { found } = await findLeftovers(cloudOf(cloud), { serverName: serverPrefix("site"), anyBake: true });
      left.kills += 1;
      left.all += things.length;
      left.told += things.filter((id) => text.includes(id)).length;
      left.listed += things.filter((id) => found.some((listed) => listed.id === id)).length;
    });
  }
}
const share = (part: number): string => `${part} of ${left.all} (${Math.round((100 * part) / left.all)} %)`;
say(
  `left after ${left.kills} kills, before and after each of the plugin's calls: the bake names ${share(left.told)}, bake catalog leftovers ${share(left.listed)} (aim 100 %)`,
);
if (left.told < left.all || left.listed < left.all) process.exitCode = 1;
