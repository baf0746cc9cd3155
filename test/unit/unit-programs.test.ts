/** What units start, where SELinux is enforced. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { startedElsewhere } from "../../src/render/unit-programs.ts";
import { loadTemplates, trialPlan } from "../plan-of.ts";
import { renderTree } from "../../src/render/tree.ts";

test.each([
  ["ExecStart=/root/.buildkite-agent/bin/buildkite-agent start", "/root/.buildkite-agent/bin/buildkite-agent"],
  ["ExecStartPre=-/var/lib/x", "/var/lib/x"],
  ["ExecStop = +!!/mnt/x y", "/mnt/x"],
  ['ExecReload="/home/a b/c"', "/home/a"],
  ["ExecStopPost=@/run/x x", "/run/x"],
  ["  ExecCondition=:/tmp/x", "/tmp/x"],
  ["ExecStart=//root/x", "//root/x"],
  ["ExecStart=/opt/../root/x", "/opt/../root/x"],
  ["ExecStart=dockerd", "dockerd"],
])("%s: %s", (line, program) => {
  expect(startedElsewhere(`[Service]\n${line}\n`)).toEqual([program]);
});

test.each([
  "ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock",
  "ExecStartPre=-/sbin/modprobe overlay",
  "ExecStart=/bin/bash /var/lib/bake/stock/bake-stock",
  "ExecStart=",
  "#ExecStart=/root/x",
  "ExecStart=/opt/bake/bin/buildkite-agent start --config /root/.buildkite-agent/buildkite-agent.cfg",
])("%s is a place of programs", (line) => {
  expect(startedElsewhere(`[Service]\n${line}\n`)).toEqual([]);
});

test("a concern whose unit starts something elsewhere is not rendered", () => {
  const plan = trialPlan();
  const units = plan.units.map((unit) =>
    unit.name === "buildkite-agent.service" ? { ...unit, values: { ...unit.values, binary: "/root/agent" } } : unit,
  );
  expect(() => renderTree({ ...plan, units }, loadTemplates(plan))).toThrow(
    "buildkite-agent.service starts /root/agent: SELinux refuses systemd that place",
  );
});

test("no unit of any expected tree starts a program elsewhere", () => {
  const golden = join(root, "test/golden");
  const units = readdirSync(golden, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".service"));
  expect(units.length).toBeGreaterThan(10);
  for (const path of units) expect(startedElsewhere(readFileSync(join(golden, path), "utf8")), path).toEqual([]);
  // That of a stock image comes with user-data.
  const stock = readFileSync(join(golden, "2cards/stock.yaml"), "utf8").replace(/^ +/gm, "");
  expect(stock).toMatch(/^ExecStart=/m);
  expect(startedElsewhere(stock)).toEqual([]);
});
