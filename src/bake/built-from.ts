/** From which commit, and in which build of CI, an image is made: what CI says of itself. */
import type { Host } from "../host/host.ts";

/** Variables of CI systems, as they document them: Buildkite, GitLab, Jenkins; GitHub has three for its address. */
const commits = ["BUILDKITE_COMMIT", "CI_COMMIT_SHA", "GITHUB_SHA", "GIT_COMMIT"];
const builds = ["BUILDKITE_BUILD_URL", "CI_JOB_URL", "BUILD_URL"];

/** No line breaks, angle brackets or quotes, and no end: it goes into the image's description. */
const plain = (text: string): string => text.replace(/[^\x21-\x7e]|[<>"'\\`]/g, "").slice(0, 200);

/** A URL without a login, a query or a fragment: these may hold a token. */
const address = (text: string): string | undefined => {
  if (!URL.canParse(text)) return undefined;
  const { protocol, origin, pathname } = new URL(text);
  return protocol === "https:" || protocol === "http:" ? plain(origin + pathname) : undefined;
};

/** `Commit 4b5a…. Build https://….`; empty outside of CI. Pure. */
export const builtFrom = (env: Host["env"]): string => {
  const set = (names: readonly string[]): string | undefined =>
    names.map((name) => (env[name] ?? "").trim()).find((value) => value !== "");
  const commit = set(commits);
  const { GITHUB_SERVER_URL: server = "", GITHUB_REPOSITORY: repository = "", GITHUB_RUN_ID: run = "" } = env;
  const build = address(set(builds) ?? `${server}/${repository}/actions/runs/${run}`);
  return [
    // Buildkite says HEAD where no commit was asked for.
    ...(commit !== undefined && /^[0-9a-f]{7,64}$/.test(commit) ? [`Commit ${commit}.`] : []),
    ...(build === undefined ? [] : [`Build ${build}`]),
  ].join(" ");
};
