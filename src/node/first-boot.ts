/** A first boot whose power went before user-data's files were on the disk is done again, whole. */
import { advisory, line, ofCommand } from "./check-commands.ts";
import type { Concern } from "./concern.ts";

export const firstBoot: Concern = {
  name: "first-boot",
  contribute: () => ({
    units: [
      { name: "bake-first-boot.service", order: 10 },
      { name: "bake-first-boot-done.service", order: 90 },
    ],
    scripts: [{ name: "bake-first-boot", order: 10 }],
    checks: [
      ofCommand(
        advisory,
        {
          id: "bake-first-boot",
          rows: ["G3", "G8"],
          title: "what user-data brought is on the disk: a power cut takes none of it",
          help: "systemctl status bake-first-boot-done",
        },
        "cat /var/lib/cloud/data/instance-id && diff /var/lib/cloud/data/instance-id /var/lib/bake/first-boot && echo same",
        { stdout: [line("same")] },
      ),
    ],
    page: {
      chain: [{ text: "bake-first-boot", beside: true, order: 10 }],
      boot: [
        {
          text: "`bake-first-boot` runs before cloud-init. A first boot whose power went before user-data's files were on the disk (cloud-init\n  counts them as written earlier) is done again by cloud-init, whole; `bake-first-boot-done` brings them to the disk and marks that.",
          order: 30,
        },
      ],
    },
  }),
};
