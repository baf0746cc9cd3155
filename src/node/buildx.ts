/** The buildx plugin of root's Docker client (guide rows G22, G23). */
import { advisory, gating, line, literal, ofCommand } from "./check-commands.ts";
import type { Concern } from "./concern.ts";
import { installRelease } from "./install.ts";

/** Root's own folder: it wins over the system's. */
const plugin = "/root/.docker/cli-plugins/docker-buildx";

/** Where the Docker client looks for plugins (docker/cli: cli-plugins/manager). */
const pluginFolders = [
  "/root/.docker/cli-plugins",
  "/usr/local/lib/docker/cli-plugins",
  "/usr/local/libexec/docker/cli-plugins",
  "/usr/lib/docker/cli-plugins",
  "/usr/libexec/docker/cli-plugins",
];

export const buildx: Concern = {
  name: "buildx",
  requirements: (profile, architecture) => [
    { kind: "buildx", name: "buildx", asked: profile.buildx.version, architecture, path: ["buildx", "version"] },
  ],
  contribute: ({ profile, locked }) => {
    const { version } = profile.buildx;
    return {
      installs: installRelease(locked, "buildx"),
      checks: [
        gating(
          {
            id: "buildx-plugin",
            rows: ["G23"],
            title: "the buildx plugin is root's alone",
            help: `chown root:root ${plugin}; chmod 700 ${plugin}; one that is gone is put there from the release`,
            repair: "buildx",
          },
          [
            "file",
            "buildx-plugin",
            { path: plugin, exists: true, filetype: "file", mode: "0700", owner: "root", group: "root" },
          ],
        ),
        ofCommand(
          gating,
          {
            id: "buildx-version",
            rows: ["G22", "G23"],
            title: `buildx is ${version}`,
            help: `put the release's binary at ${plugin}, mode 0700`,
          },
          "HOME=/root docker buildx version",
          { stdout: [`/(^|[ v])${literal(version)}([+ -]|$)/`] },
        ),
        ofCommand(
          advisory,
          {
            id: "buildx-plugin-alone",
            rows: ["G23"],
            title: "no other buildx plugin shadows it or waits behind it",
            help: "remove all but one: the user's folder wins over the system's",
          },
          // A link leads to the one that it names.
          `for folder in ${pluginFolders.join(" ")}; do if [ -e $folder/docker-buildx ]; then readlink -f $folder/docker-buildx; fi; done | sort -u | wc -l`,
          { stdout: [line("1")] },
        ),
      ],
      explain: [{ what: "buildx plugin", value: `${plugin}, ${version}`, because: ["buildx.version"], order: 50 }],
    };
  },
};
