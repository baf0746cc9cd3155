import { describe, expect, it } from "vitest";
import { explainSshFailure, formatSshTarget, parseSshTarget, sshCommandLine } from "../../src/vm/ssh.ts";

describe("parseSshTarget", () => {
  it.each([
    ["node-1", { host: "node-1" }],
    ["root@node", { user: "root", host: "node" }],
    ["root@127.0.0.1:2222", { user: "root", host: "127.0.0.1", port: 2222 }],
    ["node.example.org:22", { host: "node.example.org", port: 22 }],
    ["alias_of_mine", { host: "alias_of_mine" }],
    ["[::1]", { host: "::1" }],
    ["ops@[fe80::1%eth0]:2200", { user: "ops", host: "fe80::1%eth0", port: 2200 }],
    ["2001:db8::7", { host: "2001:db8::7" }],
  ])("reads %s", (text, target) => {
    expect(parseSshTarget(text)).toEqual(target);
  });

  it.each([
    "",
    "-oProxyCommand=touch /tmp/x",
    "root@-oProxyCommand=x",
    "-l@node",
    "@node",
    "root@",
    "node:",
    "node:0",
    "node:65536",
    "node:ssh",
    "a b",
    "node;id",
    "$(id)@node",
    "root@no de",
    "ssh://node",
    "node/path",
    "[::1",
  ])("refuses %j", (text) => {
    expect(parseSshTarget(text)).toBeUndefined();
  });

  it("writes it as it was, and as a user would call ssh", () => {
    for (const text of ["root@node:2222", "node", "[::1]:22"]) {
      const target = parseSshTarget(text);
      if (target === undefined) throw new Error(text);
      expect(formatSshTarget(target)).toBe(text);
    }
    expect(sshCommandLine({ user: "root", host: "node", port: 2222 })).toBe("ssh -p 2222 root@node");
  });
});

describe("explainSshFailure", () => {
  const target = { user: "root", host: "node" };
  it.each([
    ["BK511", "ssh: connect to host node port 22: Connection refused"],
    ["BK511", "ssh: Could not resolve hostname node: Name or service not known"],
    ["BK511", "ssh: connect to host node port 22: Connection timed out"],
    ["BK511", "kex_exchange_identification: Connection closed by remote host"],
    [
      "BK512",
      "No ED25519 host key is known for node and you have requested strict checking.\nHost key verification failed.",
    ],
    ["BK512", "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed."],
    ["BK513", "root@node: Permission denied (publickey,password)."],
    ["BK513", "Received disconnect from node port 22:2: Too many authentication failures"],
  ])("%s for %j", (code, stderr) => {
    const error = explainSshFailure(target, stderr);
    expect(error.code).toBe(code);
    expect(error.message).toContain("root@node");
    expect(error.help).toContain("ssh root@node");
    expect(error.help).toContain(stderr.split("\n").at(-1));
  });
});
