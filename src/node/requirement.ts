/** What a profile wants, one requirement an artifact: what resolvers are asked. */
import type { Architecture, Model, Release } from "../artifact.ts";

interface Named {
  /** As the lock names the artifact. */
  readonly name: string;
  /** As the profile says it: an exact version, `26.1.x`, a tag, a branch. */
  readonly asked: string;
  /** Absent: the same bytes serve all. */
  readonly architecture?: Architecture;
  /** Where in the profile it is asked for. */
  readonly path: readonly (string | number)[];
  /** Why it stays at this version. */
  readonly pin?: { readonly reason?: string; readonly link?: string; readonly reviewAt?: string };
}

export interface ReleaseRequirement extends Named {
  readonly kind: Release["kind"];
  readonly architecture: Architecture;
  /** A digest that the profile itself gives. */
  readonly sha256?: string;
}

export interface FileRequirement extends Named {
  readonly kind: "file";
  readonly url: string;
  /** A digest that the profile itself gives, or a checksum file that names the URL's last part. */
  readonly sha256?: string;
  readonly checksums?: string;
}

export interface ImageRequirement extends Named {
  readonly kind: "container-image";
  readonly architecture: Architecture;
}

export interface ModelRequirement extends Named {
  readonly kind: "model";
  readonly hub: Model["hub"];
}

export interface BaseRequirement extends Named {
  readonly kind: "base";
  readonly architecture: Architecture;
  /** A known name, or a file of this machine. */
  readonly base: string | { readonly file: string };
}

export type Requirement = ReleaseRequirement | FileRequirement | ImageRequirement | ModelRequirement | BaseRequirement;

/** Where each kind of artifact is asked for: base URLs without a trailing slash. The profile's `sources`. */
export interface Sources {
  /** Below it `x86_64/docker-27.5.1.tgz`. */
  readonly docker: string;
  /** Below it `v0.20.0/buildx-v0.20.0.linux-amd64`. */
  readonly buildx: string;
  readonly agent: string;
  readonly goss: string;
  /** Answers `/repos/<owner>/<name>/releases` as GitHub's API does: asked for open versions and by `--outdated` alone. */
  readonly releases: string;
  /** openEuler's images: below it `openEuler-22.03-LTS-SP4/virtual_machine_img/x86_64/…`. */
  readonly openeuler: string;
  readonly modelscope: string;
  readonly huggingface: string;
  /** Mirrors by registry, asked in this order before the registry itself: `docker.io` → `mirror.example.com:5000/path`. */
  readonly registries: Readonly<Record<string, readonly string[]>>;
  /** Hosts, with their ports, that speak plain http. */
  readonly insecureRegistries: readonly string[];
}
