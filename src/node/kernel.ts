/** A kernel that panicked starts again: it would stand still for ever otherwise, and with it the node. */
import { type Concern, kernelSettingsFile } from "./concern.ts";
import { advisory, line, ofCommand } from "./check-commands.ts";

/** Seconds: time for a crash dump, where one is set up, and for the console's last words. */
const panicReboot = 10;

export const kernel: Concern = {
  name: "kernel",
  contribute: () => ({
    kernelSettings: [{ name: "kernel.panic", value: panicReboot }],
    checks: [
      ofCommand(
        advisory,
        {
          id: "bake-panic-reboot",
          rows: ["G1"],
          title: "a kernel that panicked starts again",
          help: `sysctl -p ${kernelSettingsFile}; a later file of /etc/sysctl.d, or /etc/sysctl.conf, says otherwise`,
        },
        "cat /proc/sys/kernel/panic",
        { stdout: [line(String(panicReboot))] },
      ),
    ],
    page: {
      boot: [
        {
          text: "A kernel that panics starts again after ten seconds (`kernel.panic`); the node comes back by itself, as after a power cut.",
          order: 800,
        },
      ],
    },
  }),
};
