/** What a profile wants, one requirement an artifact: what resolvers are asked. */
import type { Architecture, Model, Release } from "../artifact.ts";
import type { Profile } from "../profile/schema.ts";

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

export interface CacheRequirement extends Named {
  readonly kind: "build-cache";
  /** A folder of the machine that bakes. */
  readonly folder: string;
}

export interface BaseRequirement extends Named {
  readonly kind: "base";
  readonly architecture: Architecture;
  /** A known name, or a file of this machine. */
  readonly base: string | { readonly file: string };
}

export type Requirement =
  | ReleaseRequirement
  | FileRequirement
  | ImageRequirement
  | ModelRequirement
  | CacheRequirement
  | BaseRequirement;

type OfProfile = Profile["sources"];

/** Where each kind of artifact is asked for, and by which mirrors: the profile's `sources`, which nobody changes. */
export type Sources = {
  readonly [Name in keyof OfProfile]: OfProfile[Name] extends string
    ? string
    : OfProfile[Name] extends readonly string[]
      ? readonly string[]
      : Readonly<Record<string, readonly string[]>>;
};
