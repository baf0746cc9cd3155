/** The golden image without a data disk. */
import { afterAll, expect, test } from "vitest";
import { goldenImage, type StartedVm, startVm, testHost } from "./golden-image.ts";

let started: StartedVm | undefined;
afterAll(() => started?.end());

test("a node without a disk can be reached, says why it takes no jobs, and does not wait for an hour", async () => {
  started = await startVm(testHost(), await goldenImage(), {});
  const { vm } = started;
  await vm.waitForSsh(10 * 60_000);
  const { stdout } = await vm.ssh(
    "for i in $(seq 300); do [ ! -e /run/bake/status.json ] || break; sleep 1; done; systemctl is-active buildkite-agent; bake-status",
    { timeout: 400_000, allowFailure: true },
  );
  expect(stdout).toMatch(/^(inactive|activating|failed)\nnode {6}bake-test, /);
  expect(stdout).toContain("NOT READY: takes no jobs");
  expect(stdout).toContain(
    `  data disk: no disk has UUID=7bd92a4e-0f6b-4c0a-9d5e-2b1f4ba6e001 and there is no nvme disk`,
  );
  expect(stdout).toMatch(/failed G16 G17 G18 \/mnt is the data disk/);
});
