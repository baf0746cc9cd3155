/** provision.sh compares what it fetches with the lock, inside the VM too. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

test("an artifact whose bytes changed on the way is refused by name", async () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-provision-"));
  const sha256 = createHash("sha256").update("what was locked").digest("hex");
  const server = createServer((_request, response) => response.end("what arrived"));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  try {
    // A kind that nothing installs: a broken comparison would end in another message, not in a changed machine.
    writeFileSync(join(folder, "artifacts.tsv"), `no-such-kind\tthe-agent\t${sha256}\n`);
    // Nothing to install, to remove or to hold on the machine of the tests.
    writeFileSync(join(folder, "packages.tsv"), "");
    const child = spawn("bash", [join(root, "templates/node/provision.sh"), folder], {
      env: { ...process.env, BAKE_ARTIFACTS: `http://127.0.0.1:${port}`, no_proxy: "*" },
    });
    let output = "";
    child.stderr.on("data", (data: Buffer) => (output += data.toString()));
    const code = await new Promise((done) => child.on("exit", done));
    expect(output).toContain(`bake: failed artifact the-agent does not match its digest: expected sha256 ${sha256}`);
    expect(code).toBe(1);
  } finally {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
