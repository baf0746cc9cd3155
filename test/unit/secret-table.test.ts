/** One table of what secrets are called and how they begin: whatever it knows, each of its users knows. */
import { format, inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { knownSecrets } from "../../src/check/known-secrets.ts";
import { redact } from "../../src/check/redact.ts";
import { startScan } from "../../src/check/secret-scan.ts";
import { requestsOfMirror } from "../../src/lock/fetch.ts";
import { loadProfile } from "../../src/profile/load.ts";
import { rules } from "../../src/commands/rules.ts";
import { placeholders } from "../../src/profile/rules/placeholders.ts";
import { plainSecrets } from "../../src/profile/rules/plain-secrets.ts";
import { Profile } from "../../src/profile/schema.ts";
import { readSecrets } from "../../src/profile/secret-values.ts";
import { isSecretName } from "../../src/secrets/names.ts";
import { looksSecret, withoutSecretShapes } from "../../src/secrets/shapes.ts";
import { UrlWithLogin } from "../../src/secrets/url-with-login.ts";
import { readProfile } from "../plan-of.ts";

/** What may be shown of a profile's text. */
const shown = (text: string): string => loadProfile(text, "p.yaml", { rules }).texts.get("p.yaml") ?? "";

const withEnvironment = (environment: Readonly<Record<string, string>>): Profile => {
  const profile = readProfile();
  return { ...profile, agents: { ...profile.agents, environment } };
};

test("of two tokens that touch, nothing of either is seen", () => {
  const touching = "xoxb-12345678-a-bkct_SECRETsecret1";
  for (const text of [withoutSecretShapes(touching), redact(touching)]) expect(text).not.toMatch(/SECRET|12345678/);
});

describe.each(["bkct", "bkuat"])("a Buildkite token that begins with %s_", (prefix) => {
  const cut = `${prefix}_c4X7`;
  /** Made up piece by piece: no text of this file has a credential's shape. */
  const whole = [prefix, "q7RzW2mKx9LbT4nYc8VdH5sJf3PgA6wEu1"].join("_");

  test("is hidden in text", () => {
    for (const token of [cut, whole]) {
      expect(looksSecret(token)).toBe(true);
      expect(withoutSecretShapes(`agent ${token} refused`)).toBe("agent *** refused");
      expect(redact(`agent ${token} refused`)).toBe("agent [redacted] refused");
    }
  });

  test("is hidden in a profile, right or broken, and refused there", () => {
    for (const token of [cut, whole]) {
      const stars = "*".repeat(token.length);
      expect(shown(`images: [${token}]\n`)).toBe(`images: [${stars}]\n`);
      expect(shown(`images: [${token}\nx: {\n`)).toBe(`images: [${stars}\nx: {\n`);
      expect([...plainSecrets.find(withEnvironment({ NOTE: token }))]).toMatchObject([
        { path: ["agents", "environment", "NOTE"] },
      ]);
    }
  });

  test("is found in an image", () => {
    const scan = startScan([]);
    scan.feed(Buffer.from(`token="${whole}"`));
    expect(scan.end().map(({ what }) => what)).toEqual(["Buildkite token"]);
  });

  test("is a placeholder when it is all x", async () => {
    expect([...placeholders.find(withEnvironment({ NOTE: `${prefix}_xxx` }))]).toMatchObject([
      { path: ["agents", "environment", "NOTE"] },
    ]);
    const { problems } = await readSecrets(
      { agentToken: { env: "T" } },
      { environment: { T: `${prefix}_xxxx` }, readFile: () => Promise.reject(new Error("none")) },
    );
    expect(problems).toEqual(["secrets.agentToken: variable T is a placeholder"]);
  });
});

test.each([
  "TOKEN",
  "GITHUB_TOKEN",
  "CLIENT_SECRET",
  "PGPASSWORD",
  "DB_PASSWD",
  "KEY_PASSPHRASE",
  "CLOUD_CREDENTIALS",
  "HW_ACCESS_KEY",
  "API_KEY",
  "SECRET_KEY",
  "PRIVATE_KEY",
  "MYSQL_PWD",
  "SSHPASS",
  "DOCKER_AUTH_CONFIG",
  "HW_SK",
])("%s names a secret for all", (name) => {
  expect(isSecretName(name)).toBe(true);
  expect(redact(`${name}=canary-1`)).toBe(`${name}=[redacted]`);
  expect(redact(`${name.toLowerCase()}: canary-1`)).toBe(`${name.toLowerCase()}: [redacted]`);
  expect(shown(`agents: { environment: { ${name}: canary-1 } }\n`)).not.toContain("canary-1");
  expect(shown(`agents:\n  environment:\n    ${name}: canary-1\n  x: {\n`)).not.toContain("canary-1");
  expect([...plainSecrets.find(withEnvironment({ [name]: "canary-1" }))]).toHaveLength(1);
});

test.each(["TOKEN", "PASSWORD", "PASSPHRASE", "CREDENTIALS", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY"])(
  "a shell's %s= in a value is hidden and refused",
  (word) => {
    expect(withoutSecretShapes(`run with X_${word}=canary-1 now`)).toBe(`run with X_${word}=*** now`);
    expect(looksSecret(`X_${word}=canary-1`)).toBe(true);
  },
);

test("two shapes of one secret hide it once, and nothing beside it", () => {
  expect(withoutSecretShapes("at https://bob:canary-1@mirror.example/bake or ssh://git@host")).toBe(
    "at https://***@mirror.example/bake or ssh://git@host",
  );
  expect(withoutSecretShapes("X_TOKEN=bkct_canary1 and Y_SECRET=ghp_canary12 end")).toBe(
    "X_TOKEN=*** and Y_SECRET=*** end",
  );
});

describe("in a profile that does not parse", () => {
  const sections = ["extends", ...Object.keys(Profile.shape)].filter((key) => key !== "secrets");

  test.each(sections)("%s: after secrets: is shown, the secret is not", (key) => {
    const text = (quote: string): string =>
      `secrets:\n  agentToken: canary-1\n  gitToken: { file: ~/git }\n${quote}${key}${quote}:\n  mine: [right\nx: {\n`;
    for (const quote of ["", '"', "'"]) {
      expect(shown(text(quote))).toBe(
        `secrets:\n  agentToken: ********\n  gitToken: { file: ***** }\n${quote}${key}${quote}:\n  mine: [right\nx: {\n`,
      );
    }
  });

  test("so is what stands between two of them, however the key is quoted", () => {
    expect(shown('sources: { a: b }\n"secrets":\n  agentToken: canary-1\nfiles: [\n')).toBe(
      'sources: { a: b }\n"secrets":\n  agentToken: ********\nfiles: [\n',
    );
  });

  test("and all that follows when no key of a profile does", () => {
    expect(shown("secrets:\n  agentToken: [canary-1\nsauces: canary-2\n")).not.toContain("canary");
  });
});

describe("a URL with a login", () => {
  const url = UrlWithLogin.parse("https://some%2Fbody:hunter%402@mirror.example:8443/a/?q=1");

  test("is printed without it, whatever prints it", () => {
    const written = "https://***@mirror.example:8443/a/?q=1";
    expect(String(url)).toBe(written);
    expect(JSON.stringify({ url })).toBe(JSON.stringify({ url: written }));
    expect(inspect({ url }, { showHidden: true, depth: 9 })).toContain(written);
    for (const text of [inspect({ url }, { showHidden: true }), format("%s %j %o %O", url, url, url, url)]) {
      expect(text).not.toMatch(/hunter|some/);
    }
    expect(JSON.stringify(Object.fromEntries(Object.entries(url ?? {})))).toBe("{}");
  });

  test("gives it by the methods that say so", () => {
    expect(url?.hasLogin).toBe(true);
    expect(url?.basicAuthorization()).toBe(`Basic ${Buffer.from("some/body:hunter@2").toString("base64")}`);
    expect(url?.withoutLogin()).toBe("https://mirror.example:8443/a/?q=1");
    expect(url?.query).toBe("?q=1");
  });

  test("may have none, or half of one", () => {
    const plain = UrlWithLogin.parse("https://mirror.example/a");
    expect([plain?.hasLogin, plain?.basicAuthorization(), String(plain)]).toEqual([
      false,
      undefined,
      "https://mirror.example/a",
    ]);
    expect(UrlWithLogin.parse("https://token@mirror.example")?.basicAuthorization()).toBe(
      `Basic ${Buffer.from("token:").toString("base64")}`,
    );
    expect(UrlWithLogin.parse("mirror.example/a")).toBeUndefined();
  });

  test("takes what is wrongly encoded as it stands", async () => {
    expect(UrlWithLogin.parse("https://u:100%25%zz@h")?.basicAuthorization()).toBe(
      `Basic ${Buffer.from("u:100%%zz").toString("base64")}`,
    );
    // Bytes that are no UTF-8 have stopped a bake.
    const { secrets } = await knownSecrets({}, { HTTPS_PROXY: "http://u:%ff%fe-long-enough@h" });
    expect(secrets).toEqual([{ name: "password in environment variable HTTPS_PROXY", value: "%ff%fe-long-enough" }]);
  });

  test("of a mirror is in no URL that is asked for", async () => {
    const file = { name: "docker", sha256: "a".repeat(64), size: 1 };
    const [request] = await requestsOfMirror([file], "https://somebody:hunter%402@mirror.example/b/");
    expect(request?.urls).toEqual([expect.stringMatching(/^https:\/\/mirror\.example\/b\/[a-z0-9]/)]);
    expect(JSON.stringify(request)).not.toMatch(/hunter|somebody/);
    await expect(requestsOfMirror([], "https://somebody:hunter2@mirror.example/?x=1")).rejects.toMatchObject({
      code: "BK216",
      message: expect.not.stringContaining("hunter") as string,
    });
  });
});
