import { describe, expect, it } from "vitest";
import { redact } from "../../src/check/redact.ts";

const pem = [
  "-----BEGIN OPENSSH PRIVATE KEY-----",
  "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAAB",
  "AAAAMwAAAAtzc2gtZWQyNTUxOQAAACCanary0123456789",
  "-----END OPENSSH PRIVATE KEY-----",
];

describe("redact", () => {
  it.each([
    ["an agent token", "agent: bkct_CANARYabc.def-123 registered"],
    ["an access token", "using bkcs_CANARY1234"],
    ["a GitHub token", "ghp_CANARY1234567890"],
    ["a fine-grained GitHub token", "github_pat_11CANARY_abcdefgh"],
    [
      "a JSON web token",
      "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJDQU5BUlkifQ.c2lnbmF0dXJlQ0FOQVJZ CANARY".replace(" CANARY", ""),
    ],
    ["a setting", "token=CANARYvalue"],
    ["a setting in quotes", 'token="CANARY value with blanks"'],
    ["a setting in single quotes", "password: 'CANARY value'"],
    ["a unit's environment", "Environment=HOME=/root BUILDKITE_AGENT_TOKEN=CANARYx PYPI_CACHE_PORT=3036"],
    ["a unit's environment in quotes", 'Environment="GITHUB_TOKEN=CANARYx y" "A=b"'],
    ["JSON", '{"identitytoken": "CANARYx", "a": 1}'],
    ["JSON within JSON", '"{\\"token\\": \\"CANARYx\\"}"'],
    ["docker's auth", '"auths": {"quay.io": {"auth": "CANARYdXNlcjpwYXNz"}}'],
    ["YAML", "db_password: CANARYx"],
    ["a header", "Authorization: Basic CANARYeHg6eXk="],
    ["a header of git", "http.https://github.com/.extraheader=AUTHORIZATION: basic CANARYeHg6eXk="],
    ["a header of a proxy", "proxy-authorization: Bearer CANARY.x.y"],
    ["a header of a cloud", "X-Auth-Token: CANARYMIIFtQYJ"],
    ["an option", "buildkite-agent start --token CANARYx --spawn 4"],
    ["an option with =", "curl --password=CANARYx"],
    ["a URL's password", "http://user:CANARYx@proxy.example:3128"],
    ["a URL's password with an @", "http://user:CANARY@x@proxy.example:3128/"],
    ["a URL's password with a slash", "http://user:CANARY/x@proxy.example:3128/"],
    ["a URL's token", "https://CANARYtoken@github.com/org/repository"],
    ["an access key", "id CANARY0123456789ABCD used"],
    ["a secret key", "key CANARYabcdefghij0123456789ABCDEFGHIJklmn used"],
    ["named access keys", "ak: CANARYx sk=CANARYy hw_sk=CANARYz"],
    ["AWS", "aws_secret_access_key = CANARYwJalrXUtnFEMI/K7MDENG"],
  ])("takes out %s", (_, text) => {
    const result = redact(text);
    expect(result).not.toContain("CANARY");
    expect(result).not.toContain("c2lnbmF0dXJlQ0FOQVJZ");
    expect(result).toContain("[redacted]");
  });

  it("takes out private keys: whole, with a journal's prefixes, cut off, in JSON", () => {
    const body = [pem[1] ?? "", pem[2] ?? ""];
    const texts = [
      pem.join("\n"),
      pem.map((line) => `Nov 24 10:00:00 node sh[12]: ${line}`).join("\n"),
      pem.slice(0, 3).join("\n"),
      JSON.stringify({ key: pem.join("\n") }),
    ];
    for (const text of texts) {
      const result = redact(`before\n${text}\nafter the key`);
      for (const line of body) expect(result).not.toContain(line);
      expect(result.startsWith("before\n")).toBe(true);
    }
    expect(redact(`${pem.join("\n")}\nafter`)).toMatch(/\nafter$/);
  });

  it("takes out exact values, in the forms in which they are repeated", () => {
    const secret = 'pa"ss wörd/1\n';
    const trimmed = secret.trim();
    const text = [
      trimmed,
      encodeURIComponent(trimmed),
      Buffer.from(trimmed).toString("base64"),
      JSON.stringify(trimmed),
    ].join("\n");
    const result = redact(text, [secret]);
    for (const line of text.split("\n")) expect(result).not.toContain(line);
    expect(redact("line one 1234\nline two 5678", ["line two 5678\nline three"])).toBe("line one 1234\n[redacted]");
  });

  it("takes a longer value before a shorter one that it begins with", () => {
    expect(redact("a secret-and-more b secret", ["secret", "secret-and-more"])).toBe("a [redacted] b [redacted]");
  });

  it("never empties a text because a secret is empty or a letter", () => {
    expect(redact("a b c", ["", "a", "\n"])).toBe("a b c");
  });

  it.each([
    "docker.service loaded active running Docker Application Container Engine",
    'token="file:///etc/bake/secrets/agent-token"',
    "UUID=7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001 /mnt ext4 defaults,nofail 0 2",
    "sha256:c3a5f8f5fd83394673d241695941ad63cb463312fe9a95acfb55cac208e42466",
    "commit 943bdbe943bdbe943bdbe943bdbe943bdbe943bd",
    "insteadOf https://github.com/ git@github.com:org/x.git ssh://git@github.com/x",
    "tcp://127.0.0.1:2375 and https://registry.example:5000/v2/",
    "NxGhElghg5qNRTKNWEf1WLaXpjdl_Y-LKns3Uoxk71s",
    '"default-address-pools": [{"base": "10.200.0.0/16", "size": 24}]',
    "Environment=HOME=/root PYPI_CACHE_HOST=172.22.0.80",
    "bake-storage.service: Consumed 1.2s CPU time, task: 4",
  ])("leaves %s", (text) => {
    expect(redact(text)).toBe(text);
  });

  it("gives the same when it runs again", () => {
    const once = redact(`token=CANARY\n${pem.join("\n")}\nhttp://a:b@c/\nAuthorization: Basic abcdefgh`);
    expect(redact(once)).toBe(once);
  });

  it("ends on long lines", () => {
    const started = performance.now();
    redact(`${"a".repeat(200_000)} ${"token ".repeat(20_000)} ${"://x:".repeat(20_000)} ${'\\"'.repeat(50_000)}`);
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});
