import type { Problem, Rule } from "./rule.ts";

/** Folders that bake writes, or that are gone at the next boot. */
const taken = [
  "/opt/bake",
  "/etc/bake",
  "/var/lib/bake",
  "/etc/docker",
  "/etc/cloud",
  "/etc/systemd",
  "/root/.buildkite-agent",
  "/root/.docker",
  "/root/.ssh",
  "/boot",
  "/dev",
  "/proc",
  "/run",
  "/sys",
  "/tmp",
];

/** Single files of the system, or of bake. */
const files =
  /^\/etc\/(?:passwd|shadow|group|gshadow|sudoers|fstab|machine-id|hosts|hostname|gitconfig|ssh\/.*)$|^\/root\/\.gitconfig$|^\/usr\/(?:s?bin)\/(?:containerd|containerd-shim-runc-v2|ctr|docker|docker-init|docker-proxy|dockerd|runc|bake-.*)$/;

const isBelow = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

/** A file by URL must not take the place of what makes the node one. */
export const filePlaces: Rule = {
  code: "BK136",
  reads: ["files", "storage.mount"],
  find: ({ files: listed, storage: { mount } }): Problem[] =>
    listed.flatMap(({ path }, index): Problem[] => {
      const at = ["files", index, "path"];
      const twice = listed.findIndex((other) => other.path === path);
      if (twice < index) {
        return [
          {
            path: at,
            message: `two files would lie at ${path}`,
            label: `so does files[${twice}]`,
            help: "give one of them another place",
          },
        ];
      }
      if (isBelow(path, mount)) {
        return [
          {
            path: at,
            message: `${path} lies below the mount of the data disk`,
            label: "hidden once the disk is mounted",
            help: "choose a place on the system disk, such as /opt/site",
          },
        ];
      }
      const folder = taken.find((each) => isBelow(path, each));
      if (folder === undefined && !files.test(path)) return [];
      return [
        {
          path: at,
          message: `${path} is not a place for a file of your own`,
          label: folder === undefined ? "the system's, or bake's" : `${folder} is the system's, or bake's`,
          help: "choose a place of its own, such as /opt/site",
        },
      ];
    }),
};
