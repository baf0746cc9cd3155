import type { Problem, Rule } from "./rule.ts";

/** Where a site's own files lie; nothing of bake's or of the system's is there. */
const places = [
  "/opt",
  "/srv",
  "/usr/local",
  "/usr/share",
  "/etc/apt/keyrings",
  "/etc/apt/sources.list.d",
  "/etc/pki",
  "/etc/profile.d",
  "/etc/security",
  "/etc/ssl",
  "/etc/udev/rules.d",
  "/etc/yum.repos.d",
];

/** Where guides put the certificate of an authority. What is only laid there is trusted by nobody: the system's list is made of it. */
const trustFolders = [
  "/etc/docker/certs.d",
  "/etc/pki/ca-trust",
  "/usr/local/share/ca-certificates",
  "/usr/share/pki/ca-trust-source",
];

/** Hooks of the agents. The node has one of its own there, which runs a site's as `environment.site`. */
const hooks = "/root/.buildkite-agent/hooks";

const isBelow = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

/** A file of a site must not take the place of what makes the node one. */
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
      const above = listed.find((other) => other.path !== path && isBelow(path, other.path));
      if (above !== undefined) {
        return [
          {
            path: at,
            message: `${path} lies below ${above.path}, which is a file`,
            label: "cannot be there",
            help: "give one of them another place",
          },
        ];
      }
      if (path === `${hooks}/environment`) {
        return [
          {
            path: at,
            message: `${path} is the node's own hook`,
            label: "would be lost",
            help: `name it ${hooks}/environment.site: the node's hook runs it`,
          },
        ];
      }
      if (trustFolders.some((folder) => isBelow(path, folder))) {
        return [
          {
            path: at,
            message: `${path} would be laid down, and not trusted`,
            label: "certificates of authorities have a setting of their own",
            help: "write network.caCertificates: [ { from: ./site-ca.pem } ]: the system, Docker, the builders and jobs trust them then",
          },
        ];
      }
      if (path.startsWith(`${hooks}/`) && !path.includes("/", hooks.length + 1)) return [];
      if (places.some((place) => path.startsWith(`${place}/`)) && !isBelow(path, "/opt/bake")) return [];
      return [
        {
          path: at,
          message: `${path} is not a place for a file of your own`,
          label: "the system's, or bake's",
          help: `choose a place below ${places.join(", ")}, such as /opt/site; hooks of the agents lie in ${hooks}`,
        },
      ];
    }),
};
