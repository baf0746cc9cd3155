/** Garbage on the data disk: images that no container uses and build caches, collected by limits (guide row G24). */
import { environmentFile } from "../../formats/lines.ts";
import { advisory } from "../check-commands.ts";
import type { Concern } from "../concern.ts";
import { garbageThresholds } from "./thresholds-rule.ts";

export const garbage: Concern = {
  name: "garbage",
  rules: [garbageThresholds],
  contribute: ({ profile, facts: { agents, docker, storage }, header }) => {
    const { highThresholdPercent, lowThresholdPercent, minimumAge, interval } = profile.storage.garbageCollection;
    return {
      files: [
        {
          path: "/etc/bake/garbage.env",
          content: `# ${header}\n${environmentFile({
            GARBAGE_MOUNT: storage.mount,
            GARBAGE_FOLDER: `${storage.stateFolder}/garbage`,
            GARBAGE_DATA_ROOT: docker.dataRoot,
            // Folders of caches of type=local, with blanks between them.
            GARBAGE_CACHES: agents.each.map(({ dockerCache }) => dockerCache).join(" "),
            GARBAGE_HIGH: String(highThresholdPercent),
            GARBAGE_LOW: String(lowThresholdPercent),
            GARBAGE_MIN_FREE: String(storage.reserveBytes),
            GARBAGE_MIN_AGE: String(minimumAge * 3600),
            GARBAGE_REMOVE_OTHERS: String(profile.storage.removeOtherImages),
          })}`,
          order: 125,
        },
      ],
      units: [
        { name: "bake-garbage.timer", values: { interval: `${interval}min` }, order: 132 },
        { name: "bake-garbage.service", startedByOthers: true, order: 142 },
      ],
      scripts: [{ name: "bake-garbage", order: 55 }],
      checks: [
        advisory(
          {
            id: "bake-garbage-timer",
            rows: ["G24"],
            title: "a timer collects garbage on the data disk",
            help: "systemctl enable --now bake-garbage.timer",
          },
          ["service", "bake-garbage-timer", { name: "bake-garbage.timer", enabled: true, running: true }],
        ),
      ],
      explain: [
        {
          what: "garbage collection",
          value: `from ${highThresholdPercent} % of ${storage.mount} until below ${lowThresholdPercent} %: images that no container uses, and build caches, unused for ${minimumAge} h`,
          because: ["storage.garbageCollection"],
          order: 75,
        },
      ],
      page: {
        boot: [
          {
            text: `\`bake-garbage.timer\` looks every ${interval} min how full \`${storage.mount}\` is. From ${highThresholdPercent} % on it collects until less than ${lowThresholdPercent} % is used: blobs of build\n  caches that no index names, images that no container uses, then what builders did not use, each after ${minimumAge} h, the longest unused first.\n  What the lock names stays. \`bake-status\` shows the last run.`,
            order: 830,
          },
        ],
        paths: [
          {
            paths: ["/etc/bake/garbage.env"],
            what: "limits of the garbage collection; `journalctl -u bake-garbage` says what it took",
            order: 55,
          },
        ],
      },
    };
  },
};
