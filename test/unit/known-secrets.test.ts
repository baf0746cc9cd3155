/** Which values a bake searches for, and which variables the commands that it starts do not get. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { knownSecrets } from "../../src/check/known-secrets.ts";
import { isSecretName, withoutSecrets } from "../../src/secrets/names.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-known-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it.each([
  "BUILDKITE_AGENT_TOKEN",
  "GITHUB_TOKEN",
  "TOKEN",
  "HW_SECRET_KEY",
  "HW_ACCESS_KEY",
  "HW_SK",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "REGISTRY_PASSWORD",
  "PGPASSWORD",
  "MYSQL_PWD",
  "SSHPASS",
  "npm_config__authToken",
  "GOOGLE_CREDENTIALS",
  "DOCKER_AUTH_CONFIG",
])("%s holds a secret", (name) => {
  expect(isSecretName(name)).toBe(true);
});

it.each([
  "PWD",
  "OLDPWD",
  "PATH",
  "HOME",
  "TERM",
  "SSH_AUTH_SOCK",
  "XDG_CACHE_HOME",
  "HTTPS_PROXY",
  "GOFLAGS",
  "TMPDIR",
  "DISK",
  "BAKE_DEBIAN_MIRROR",
  "MONKEY",
  "SECRETARY",
  "LC_ALL",
])("%s does not", (name) => {
  expect(isSecretName(name)).toBe(false);
  expect(withoutSecrets({ [name]: "x", A_TOKEN: "y" })).toEqual({ [name]: "x" });
});

it("takes the profile's secrets from files and variables, and says which are not here", async () => {
  const file = join(folder, "token");
  writeFileSync(file, "from-a-file\n");
  const known = await knownSecrets(
    {
      agentToken: { file },
      gitToken: { env: "GIT" },
      proxyCredentials: { env: "NOT_SET" },
      nodeKey: { file: join(folder, "none") },
      short: { env: "SHORT" },
      optional: undefined,
    },
    { GIT: "from-a-variable", SHORT: "1234567" },
  );
  expect(known.secrets).toEqual([
    { name: "secrets.agentToken", value: "from-a-file\n" },
    { name: "secrets.gitToken", value: "from-a-variable" },
  ]);
  expect(known.unknown).toEqual([
    "secrets.proxyCredentials: variable NOT_SET is not here",
    `secrets.nodeKey: ${join(folder, "none")} is not here`,
    "secrets.short: shorter than 8 characters",
  ]);
});

it("takes what the environment holds besides: once, and no words or paths", async () => {
  const { secrets } = await knownSecrets(
    { gitToken: { env: "GITHUB_TOKEN" } },
    {
      GITHUB_TOKEN: "the-token-of-git",
      COPY_TOKEN: "the-token-of-git",
      OTHER_TOKEN: "another-token-here",
      DB_PASSWORD: "changeme",
      CREDENTIALS: "/run/secrets/credentials-file",
      https_proxy: "http://robot:p%40ss%2Fword@proxy.example:3128",
      HTTP_PROXY: "http://proxy.example:3128",
      BROKEN: "http://user:100%sure-of-it@host",
      EMPTY_TOKEN: "",
      UNSET_TOKEN: undefined,
    },
  );
  expect(secrets).toEqual([
    { name: "secrets.gitToken", value: "the-token-of-git" },
    { name: "environment variable OTHER_TOKEN", value: "another-token-here" },
    { name: "password in environment variable https_proxy", value: "p@ss/word" },
    { name: "password in environment variable BROKEN", value: "100%sure-of-it" },
  ]);
});
