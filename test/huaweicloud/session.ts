/**
 * A user's whole way in the cloud, by the program itself: preflight, bake, promotion, a server with user-data attached that becomes
 * ready, and nothing left over.
 */
import { gunzipSync } from "node:zlib";

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SessionStep {
  /** As a user types it, without `bake`. */
  readonly args: readonly string[];
  readonly ended: Ended;
}

interface SessionOptions {
  readonly profile: string;
  /** Name of the server. */
  readonly node: string;
  readonly flavor: string;
  readonly zone: string;
  readonly run: (args: readonly string[]) => Promise<Ended>;
}

/** Runs it to its end, or to the first step that does not end with 0. */
export const cloudSession = async ({ profile, node, flavor, zone, run }: SessionOptions): Promise<SessionStep[]> => {
  const of = ["--profile", profile];
  const words: readonly (readonly string[])[] = [
    ["doctor", ...of, "--target", "huaweicloud"],
    ["image", ...of, "--target", "huaweicloud"],
    ["catalog", "ls", ...of],
    // Filled in from what `ls` says: people copy it from there.
    ["catalog", "promote", ...of, "", "--yes"],
    [...["ecs", "create", ...of, "--image", "current", "--name", node, "--flavor", flavor, "--zone", zone], "--yes"],
    ["catalog", "ls", ...of],
    ["catalog", "leftovers", ...of, "--older-than", "0"],
  ];
  const steps: SessionStep[] = [];
  let bakeId = "";
  for (const word of words) {
    const args = word.map((each) => (each === "" ? bakeId : each));
    const ended = await run(args);
    steps.push({ args, ended });
    if (ended.status !== 0) break;
    bakeId = /^ {2}candidate +\S+ +(\S+)/m.exec(ended.stdout)?.[1] ?? bakeId;
  }
  return steps;
};

const gzipMagic = Buffer.from([0x1f, 0x8b]);

/** User-data as it was attached, as text: cloud-init takes it as gzip too. @param encoded In base64. */
export const attachedUserData = (encoded: string | undefined): string => {
  const bytes = Buffer.from(encoded ?? "", "base64");
  return (bytes.subarray(0, 2).equals(gzipMagic) ? gunzipSync(bytes) : bytes).toString("utf8");
};
