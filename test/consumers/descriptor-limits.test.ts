/** How many descriptors a container may open: containerd's limit reaches it (containerd/containerd#8924). */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type DockerDaemon, startDockerDaemon } from "../docker-daemon.ts";
import { needs } from "../needs.ts";
import { render, trialPlan } from "../plan-of.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-limits-"));
chmodSync(folder, 0o755);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const { files } = render(trialPlan());

/** The limits of a unit, as systemd itself reads them: it lists the units that it would start. */
const limitOf = (unit: string): { readonly soft: number; readonly hard: number } => {
  const units = mkdtempSync(join(folder, "units-"));
  chmodSync(units, 0o755);
  const content = files.find(({ path }) => path === `node/etc/systemd/system/${unit}`)?.content ?? "";
  expect(content).not.toBe("");
  writeFileSync(join(units, unit), content);
  writeFileSync(join(units, "default.target"), `[Unit]\nWants=${unit}\n`);
  // As a user without rights it changes nothing.
  const { stdout, stderr } = spawnSync(
    "setpriv",
    [
      ...(process.getuid?.() === 0 ? ["--reuid=65534", "--regid=65534", "--clear-groups"] : []),
      ...["/usr/lib/systemd/systemd", "--test", "--system", "--unit=default.target"],
    ],
    { encoding: "utf8", env: { SYSTEMD_UNIT_PATH: units, PATH: process.env["PATH"] ?? "" } },
  );
  const dump = `${stdout}${stderr}`.split(/^\t*-> Unit /m).find((part) => part.startsWith(`${unit}:`)) ?? "";
  const value = (name: string): number => Number(new RegExp(`^\\s*${name}: (\\d+)$`, "m").exec(dump)?.[1]);
  return { soft: value("LimitNOFILESoft"), hard: value("LimitNOFILE") };
};

it.each(["containerd.service", "docker.service"])("%s: 1024, and half a million for who asks", (unit) => {
  expect(limitOf(unit)).toEqual({ soft: 1024, hard: 524_288 });
});

needs("root", "docker").describe("a container", () => {
  let daemon: DockerDaemon | undefined;
  // In the place of runc, which gives a container the limits that it has itself, or those of the bundle.
  const runtime = `#!/bin/sh
case " $* " in *" create "*)
  while [ "$1" != --bundle ]; do shift; done
  echo "$(ulimit -Sn) $(ulimit -Hn) $(grep -c RLIMIT_NOFILE "$2/config.json")" >>${join(folder, "limits")} ;;
esac
exit 1
`;
  beforeAll(async () => {
    writeFileSync(join(folder, "runc"), runtime, { mode: 0o755 });
    const { soft, hard } = limitOf("containerd.service");
    // As far as this machine lets a limit be raised.
    const most = Math.min(hard, Number(execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" })) || hard);
    daemon = await startDockerDaemon(join(folder, "docker"), {
      args: ["--add-runtime", `limits=${join(folder, "runc")}`],
      run: (command) => ["prlimit", `--nofile=${soft}:${most}`, ...command],
    });
    mkdirSync(join(folder, "tree"));
    execFileSync("tar", ["-C", join(folder, "tree"), "-cf", join(folder, "tree.tar"), "."]);
    await daemon.docker("import", join(folder, "tree.tar"), "limits:1");
  }, 90_000);
  afterAll(() => daemon?.stop());

  it("is started with containerd's", async () => {
    await expect(
      daemon?.docker("run", "--rm", "--network=none", "--runtime=limits", "limits:1", "x"),
    ).rejects.toThrow();
    const [line = ""] = readFileSync(join(folder, "limits"), "utf8").split("\n");
    const [soft, hard, ofBundle] = line.split(" ").map(Number);
    expect(ofBundle).toBe(0);
    expect(soft).toBe(1024);
    expect(hard).toBeGreaterThanOrEqual(1024);
    expect(hard).toBeLessThanOrEqual(524_288);
  }, 90_000);
});
