/** What a check of a booted image is put together from. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createCommand, createNullDevices } from "../../src/check/null-devices.ts";
import { type CheckResult, fromOutside, worstOfBoots } from "../../src/check/results.ts";
import { hostileStrings } from "../hostile.ts";

const result = (id: string, outcome: CheckResult["outcome"], detail?: string): CheckResult => ({
  check: { id, rows: ["G1"], title: id, level: "gating" },
  outcome,
  ...(detail !== undefined && { detail }),
});

test("what was seen from outside gates, and says all that is wrong", () => {
  expect(fromOutside("vm-kernel", ["G1"], "the kernel did not panic", [])).toEqual({
    check: { id: "vm-kernel", rows: ["G1"], title: "the kernel did not panic", level: "gating" },
    outcome: "passed",
  });
  expect(fromOutside("vm-kernel", ["G1"], "the kernel did not panic", ["one", "two"])).toMatchObject({
    outcome: "failed",
    detail: "one; two",
  });
});

test("of two boots the failure counts, and says that it came after the reboot", () => {
  const first = [result("a", "passed"), result("b", "failed", "no"), result("c", "not checked", "no NPU in a VM")];
  const second = [
    result("a", "failed", "gone"),
    result("b", "failed", "again"),
    result("c", "failed"),
    result("d", "passed"),
  ];
  expect(worstOfBoots([first, second])).toEqual([
    result("a", "failed", "after a reboot: gone"),
    result("b", "failed", "no"),
    result("c", "failed"),
    result("d", "passed"),
  ]);
});

test("null devices are made where none are, by whatever name, and only those are removed", async () => {
  const ran: string[] = [];
  const remove = await createNullDevices(
    (command) => {
      ran.push(command);
      return Promise.resolve({ exitCode: 0, stdout: ran.length === 1 ? "/dev/davinci1\n" : "", stderr: "" });
    },
    ["/dev/davinci0", "/dev/davinci1", "/dev/davinci0"],
  );
  await remove();
  expect(ran).toEqual([createCommand(["/dev/davinci0", "/dev/davinci1"]), "rm -f '/dev/davinci1'"]);

  const folder = mkdtempSync(join(tmpdir(), "bake-devices-"));
  try {
    const names = hostileStrings(60).filter(
      (name) => name !== "" && !/[\0/\n]/.test(name) && Buffer.byteLength(name) < 200,
    );
    const devices = [...new Set(names)].map((name) => join(folder, `x${name}`));
    writeFileSync(devices[0] ?? "", "");
    // Root alone may make devices: a file stands in for each.
    const made = execFileSync("sh", ["-c", `mknod() { : >"$1"; }\n${createCommand(devices)}`]).toString();
    expect(made).toBe(`${devices.slice(1).join("\n")}\n`);
    expect(execFileSync("sh", ["-c", createCommand(devices)]).toString()).toBe("");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
