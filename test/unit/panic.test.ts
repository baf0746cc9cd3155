import { expect, test } from "vitest";
import { panicsIn } from "../../src/vm/console.ts";

test("a panic is found on a serial console, once each, with its words", () => {
  const once = [
    "[   69.698962] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI\r",
    "[   69.699146] Kernel panic - not syncing: Fatal exception in interrupt\r",
    "[   70.338077] ---[ end Kernel panic - not syncing: Fatal exception in interrupt ]---\r",
  ].join("\n");
  expect(panicsIn(once)).toEqual(["Fatal exception in interrupt"]);
  expect(panicsIn(`${once}\n${once}`)).toHaveLength(2);
  expect(panicsIn("login: Kernel panic is a word here")).toEqual([]);
});
