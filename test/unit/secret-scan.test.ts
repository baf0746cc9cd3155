/** The scanner finds what it must, wherever a chunk ends, and leaves alone what programs and manuals are full of. */
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Secret } from "../../src/check/exact-values.ts";
import { startScan } from "../../src/check/secret-scan.ts";

const scan = (bytes: Uint8Array | string, secrets: readonly Secret[] = [], chunk = 1 << 20) => {
  const all = Buffer.from(bytes as Uint8Array);
  const running = startScan(secrets);
  for (let at = 0; at < all.length; at += chunk) running.feed(all.subarray(at, at + chunk));
  return running.end();
};
const whats = (text: string, secrets: readonly Secret[] = []): string[] => scan(text, secrets).map(({ what }) => what);

/** Made up here, piece by piece: no text of this file has a credential's shape. */
const letters = "q7RzW2mKx9LbT4nYc8VdH5sJf3PgA6wEu1";
const token = { name: "secrets.agentToken", value: `bkct_${letters}${letters.toLowerCase()}` };
const password = { name: "secrets.proxyCredentials", value: 'proxy-user:pä"ss/w+rd 12\\3' };
const key = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 })
  .privateKey.export({ type: "pkcs1", format: "pem" })
  .toString();
const wrapped = (text: string, width: number): string => text.replaceAll(new RegExp(`.{${width}}`, "g"), "$&\n");

describe("exact values", () => {
  it.each([
    ["as they are", (value: string) => `token="${value}"`, "plain"],
    ["in a URL", (value: string) => `http://u:${encodeURIComponent(value)}@host`, undefined],
    ["in JSON", (value: string) => JSON.stringify({ value }), undefined],
    ["in base64", (value: string) => Buffer.from(value).toString("base64"), "base64"],
    ["in base64 behind one byte", (value: string) => Buffer.from(`x${value}y`).toString("base64"), "base64"],
    ["in base64 behind two bytes", (value: string) => Buffer.from(`xy${value}y`).toString("base64"), "base64"],
    ["in git's header", (value: string) => Buffer.from(`x-access-token:${value}`).toString("base64"), "base64"],
    ["in base64 for URLs", (value: string) => Buffer.from(`ab${value}`).toString("base64url"), "base64"],
    [
      "in base64 with lines of 76",
      (value: string) => wrapped(Buffer.from(`#cloud-config\nx: ${value}\n`).toString("base64"), 76),
      "base64",
    ],
  ])("%s", (_, write, form) => {
    for (const secret of [token, password]) {
      const [finding, ...others] = scan(`before ${write(secret.value)} after`, [secret]).filter(
        ({ what }) => what === secret.name,
      );
      expect(finding).toBeDefined();
      expect(others).toEqual([]);
      if (form !== undefined) expect(finding?.form).toBe(form);
      expect(JSON.stringify(finding)).not.toContain(secret.value);
    }
  });

  it("in base64 wherever its lines are cut", () => {
    for (const width of [64, 76]) {
      for (let before = 0; before < 80; before++) {
        const text = wrapped(Buffer.from(`${"x".repeat(before)}${token.value}`).toString("base64"), width);
        expect(whats(text, [token])).toContain(token.name);
      }
    }
  });

  it("the password alone, without its user", () => {
    expect(whats('pass: pä"ss/w+rd 12\\3', [password])).toEqual([password.name]);
    expect(whats("the proxy-user: is known", [password])).toEqual([]);
  });

  it("a key that was indented, and a key within a file in base64", () => {
    const secret = { name: "secrets.nodeKey", value: rsa };
    const body = rsa.split("\n").slice(1, -2);
    // Without its first and last line no shape is left.
    expect(whats(body.map((line) => `      ${line}\n`).join(""), [secret])).toContain(secret.name);
    expect(whats(Buffer.from(`ab${rsa}`).toString("base64"), [secret])).toEqual([secret.name]);
  });

  it("not the first line of a key, which is the same in others", () => {
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const secret = { name: "secrets.nodeKey", value: rsa };
    expect(whats(other.export({ type: "pkcs1", format: "pem" }).toString(), [secret])).toEqual(["private key"]);
  });

  it("at the very beginning and end, at every place of a chunk's border, with chunks of any size", () => {
    const text = token.value;
    for (const chunk of [1, 7, 64, 4096]) {
      expect(scan(text, [token], chunk)[0]).toMatchObject({ what: token.name, offset: 0 });
    }
    for (const before of [0, 1, 4090, 65_500]) {
      const bytes = Buffer.concat([Buffer.alloc(before, 1), Buffer.from(text), Buffer.alloc(65_536, 2)]);
      expect(scan(bytes, [token], 4096)[0]).toMatchObject({ what: token.name, offset: before });
    }
  });

  it("across the border of two pieces of a MiB, wherever the cut falls", () => {
    for (const at of [-text().length, -40, -20, -1, 0].map((shift) => (1 << 20) + shift)) {
      const bytes = Buffer.alloc(3 << 20);
      bytes.write(text(), at);
      bytes.write(text(), at + (1 << 20));
      expect(scan(bytes, [token]).filter(({ what }) => what === token.name)).toMatchObject([
        { offset: at },
        { offset: at + (1 << 20) },
      ]);
    }
  });

  it("behind holes, at their offset on the disk", () => {
    const running = startScan([token]);
    running.feed(Buffer.from(text().slice(0, 20)), 4096);
    running.feed(Buffer.from(text()), 1 << 30);
    running.feed(Buffer.from(text().slice(20)), 5 * 2 ** 30);
    // Two halves with a hole between them are no token.
    expect(running.end().filter(({ what }) => what === token.name)).toMatchObject([{ offset: 2 ** 30 }]);
  });

  it("no value of less than eight characters", () => {
    expect(scan("a short word", [{ name: "secrets.x", value: "short" }])).toEqual([]);
  });

  const text = (): string => token.value;
});

describe("shapes", () => {
  const basic = Buffer.from("x-access-token:abcdefgh123").toString("base64");
  it.each([
    ["private key", key],
    ["private key", rsa],
    ["private key", rsa.replaceAll("\n", "\r\n")],
    ["private key", JSON.stringify({ key: rsa })],
    ["private key", rsa.replaceAll(/^/gm, "    ")],
    ["private key", rsa.slice(0, 900)],
    ["private key", rsa.replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n")],
    ["Buildkite token", `token="${token.value}"`],
    ["GitHub token", `x%3Aghp_${letters}ab`],
    ["GitHub fine-grained token", `github_pat_${letters.slice(0, 22)}_${letters}${letters.slice(0, 25)}`],
    ["GitLab token", `glpat-${letters.slice(0, 20)}`],
    ["Hugging Face token", `hf_${letters}`],
    ["Authorization header", `extraheader = AUTHORIZATION: basic ${basic}`],
    ["Authorization header", `{"Authorization": "Bearer ${letters}"}`],
    ["registry login", `{"auths": {"quay.io": {"auth": "${basic}"}}}`],
    ["password of a proxy", ["HTTPS_PROXY", '"http://robot:7hunder@proxy.internal:3128"'].join("=")],
    ["password hash of an account", `root:$6$${letters.slice(0, 16)}$${letters}${letters}:19800:0:99999:7:::`],
    // openEuler's own; and of a locked account, one command away from its password.
    ["password hash of an account", `root:$sm3$${letters.slice(0, 16)}$${letters}${letters}:19800:0:99999:7:::`],
    ["password hash of an account", `root:$y$j9T$${letters.slice(0, 16)}$${letters}:19800:0:99999:7:::`],
    ["password hash of an account", `admin:!!$6$${letters.slice(0, 16)}$${letters}${letters}:19800:0:99999:7:::`],
    ["secret access key", `"secret_key": "${letters}aB3dE9"`],
    ["secret access key", `export HW_SK=${letters}aB3dE9`],
  ])("%s", (what, text) => {
    expect(whats(`\0\0${text}\n`)).toEqual([what]);
  });

  it("of two in a row both, the second across a border", () => {
    const line = (user: string): string => `${user}:$6$${letters.slice(0, 16)}$${user}${letters}:19800:0:99999:7:::\n`;
    const found = scan(`${line("root")}daemon:*:19800:0:99999:7:::\n${line("admin")}`, [], 100);
    expect(found.map(({ what }) => what)).toEqual(["password hash of an account", "password hash of an account"]);
    expect(new Set(found.map(({ digest }) => digest)).size).toBe(2);
  });

  it("the same bytes have the same digest in another place", () => {
    const [first] = scan(`abc\n${key}`);
    const [second] = scan(`${"x".repeat(5000)}\n${key}\nmore`, [], 1000);
    expect(first?.digest).toBe(second?.digest);
    expect(first?.digest).not.toBe(scan(rsa)[0]?.digest);
  });

  it.each([
    ["a marker in a program", "-----BEGIN RSA PRIVATE KEY----------END RSA PRIVATE KEY-----%s: no PEM block"],
    ["markers in a row", "-----BEGIN OPENSSH PRIVATE KEY-----\0-----END OPENSSH PRIVATE KEY-----\nopenssh-key-v1\0"],
    ["an example with dots", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ...\n-----END PRIVATE KEY-----"],
    ["a body that is no key", `-----BEGIN PRIVATE KEY-----\n${"A".repeat(64)}\n-----END PRIVATE KEY-----`],
    ["a public key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx0z1yV root@node"],
    ["prefixes of tokens", "bkct_ bkua_ ghp_ gho_ github_pat_ glpat- hf_ token prefixes"],
    ["placeholders", `ghp_${"x".repeat(36)} bkct_${"0".repeat(40)} glpat-xxxxxxxxxxxxxxxxxxxx`],
    [
      "names that begin like a token",
      "hf_hub_download_with_a_progress_bar bkaa_some_c_function_with_a_long_name_indeed",
    ],
    ["a header with a variable", "Authorization: Bearer $TOKEN\nAuthorization: Basic <credentials>"],
    ["a header's format", 'fmt.Sprintf("Authorization: Bearer %s", token)'],
    ["basic of something else", `Authorization: Basic ${Buffer.from("no colon in here").toString("base64")}`],
    ["a proxy in a manual", "http_proxy=http://user:password@proxy.example.com:8080/"],
    ["a proxy without a password", "HTTPS_PROXY=http://proxy.example.com:8080/"],
    ["locked accounts", "root:*:19800:0:99999:7:::\ndaemon:!:19800::::::\nx:!!:19800::::::\n"],
    ["crypt's own tests", `$6$saltstring$${letters}${letters}`],
    ["a commit", "secret_key: 943bdbe943bdbe943bdbe943bdbe943bdbe943bd"],
    ["AWS's example", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
    ["user-data of out/", 'content: "<secrets.agentToken>\\n"'],
  ])("not %s", (_, text) => {
    expect(scan(text)).toEqual([]);
  });

  it("not chance, nor this test, nor the scanner", () => {
    expect(scan(randomBytes(8 << 20))).toEqual([]);
    for (const file of ["../../src/check/secret-scan.ts", "../../src/check/exact-values.ts", "./secret-scan.test.ts"]) {
      const source = readFileSync(new URL(file, import.meta.url), "utf8");
      expect(scan(source), file).toEqual([]);
    }
  });
});

describe("a large disk", () => {
  it("is searched in time, and what is in it once is found once", () => {
    const size = 64 << 20;
    const block = createHash("sha512").update("x").digest();
    const bytes = Buffer.alloc(size);
    for (let at = 0; at < size; at += block.length * 3) block.copy(bytes, at);
    bytes.write(token.value, 33 << 20);
    const started = performance.now();
    const found = scan(bytes, [token, password]);
    expect(found.filter(({ what }) => what === token.name)).toMatchObject([{ offset: 33 << 20 }]);
    // 6 MB/s: twenty times less than on a core of its own.
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it("full of findings does not fill the memory", () => {
    const running = startScan([token]);
    const chunk = Buffer.from(`${token.value}\n${" ".repeat(8000)}`.repeat(100));
    for (let round = 0; round < 40; round++) running.feed(chunk);
    expect(running.end().length).toBeLessThanOrEqual(2100);
  });
});
