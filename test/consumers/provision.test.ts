/** provision.sh compares what it fetches with the lock, inside the VM too. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { needs } from "../needs.ts";
import { render, trialPlan } from "../plan-of.ts";
import { openWorkshop } from "../provisioned.ts";

needs("root").test(
  "an artifact whose bytes changed on the way is refused by name",
  async () => {
    const workshop = await openWorkshop();
    try {
      const sha256 = createHash("sha256").update("what was locked").digest("hex");
      const { code, output } = await workshop.provision({
        manager: "apt-get",
        artifact: `runtime\tdocker-static\tthe-docker\t${sha256}\t-\t-\n`,
        after: "ls /usr/bin/dockerd",
      });
      expect(output).toContain(`bake: failed artifact the-docker does not match its digest: expected sha256 ${sha256}`);
      expect(code).toBe(1);
    } finally {
      workshop.close();
    }
  },
  300_000,
);

test("labels are restored of all that was laid, through a list, and nothing is done where SELinux has no tools", () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-relabel-"));
  try {
    const { files } = render(trialPlan());
    for (const name of ["files.tsv", "directories.tsv", "artifacts.tsv", "docker-binaries.txt"]) {
      writeFileSync(join(folder, name), files.find(({ path }) => path === `provision/${name}`)?.content ?? "");
    }
    const script = readFileSync(join(root, "templates/node/provision.sh"), "utf8");
    const relabel = /^relabel\(\) \{\n(?:.*\n)*?\}\n/m.exec(script)?.[0] ?? "";
    mkdirSync(join(folder, "bin"));
    const run = () =>
      spawnSync("bash", ["--norc", "-c", `set -euo pipefail\nupload=${folder}\n${relabel}relabel || exit 9`], {
        encoding: "utf8",
        env: { PATH: `${join(folder, "bin")}:/usr/bin:/bin` },
      });
    expect(run()).toMatchObject({ status: 0, stdout: "", stderr: "" });
    const restorecon = join(folder, "bin/restorecon");
    writeFileSync(restorecon, '#!/bin/bash\necho "# $*"\ncat\n', { mode: 0o755 });
    const { status, stdout, stderr } = run();
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const [trees = "", single = ""] = stdout.split("# ").slice(1);
    expect(trees).toMatch(/^-R -i -f -\n/);
    expect(trees.split("\n")).toEqual(expect.arrayContaining(["/opt/bake", "/root/.buildkite-agent", "/root/.docker"]));
    // Not the whole of the data disk, nor of /etc.
    expect(single).toMatch(/^-i -f -\n/);
    expect(single.split("\n")).toEqual(
      expect.arrayContaining([
        "/mnt",
        "/usr/bin/dockerd",
        "/etc/systemd/system/docker.service",
        "/etc/docker/daemon.json",
        "/etc/fstab",
      ]),
    );
    writeFileSync(restorecon, "#!/bin/bash\nexit 1\n", { mode: 0o755 });
    expect(run().status).toBe(9);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
