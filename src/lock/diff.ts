/** What changes on a node between two locks, in versions, digests and bytes. Pure. */
import { type Architecture, type Artifact, digestOf, filesOf } from "../artifact.ts";
import { nameSameImage, parseImageReference } from "../formats/image-reference.ts";

/** What is known of an artifact; of an image's record neither size nor files. */
export interface Item {
  readonly kind: string;
  readonly name: string;
  readonly architecture?: Architecture;
  readonly version: string;
  readonly digest: string;
  /** Bytes, and by file: two images share layers. */
  readonly size?: number;
  readonly files?: ReadonlyMap<string, number>;
}

export interface Change {
  readonly change: "added" | "removed" | "changed";
  readonly kind: string;
  readonly name: string;
  readonly architecture?: Architecture;
  readonly from?: Item;
  readonly to?: Item;
  /** Bytes that were not there before: what is downloaded. */
  readonly fresh?: number;
}

export interface Difference {
  readonly changes: readonly Change[];
  /** Bytes of all files, each once; absent when one side does not know them. */
  readonly size?: { readonly from: number; readonly to: number; readonly fresh: number };
}

const itemOf = (artifact: Artifact): Item => {
  const files = new Map(filesOf(artifact).map(({ sha256, size }) => [sha256, size]));
  return {
    kind: artifact.kind,
    name: artifact.name,
    ...(artifact.architecture !== undefined && { architecture: artifact.architecture }),
    version: artifact.version,
    digest: digestOf(artifact),
    size: sum(files),
    files,
  };
};

const sum = (files: ReadonlyMap<string, number>): number =>
  [...files.values()].reduce((total, size) => total + size, 0);

/** What a lock holds, as `difference` compares it: sizes in bytes. Pure. */
export const itemsOf = ({ artifacts }: { readonly artifacts: readonly Artifact[] }): Item[] => artifacts.map(itemOf);

/** Docker Hub's images have several names. */
const repositoryOf = (name: string): string => {
  const reference = parseImageReference(name);
  return reference === undefined ? name : `${reference.registry}/${reference.repository}`;
};

const isSameName = (one: Item, other: Item): boolean => one.name === other.name || nameSameImage(one.name, other.name);

/** An image is the same one under another tag; everything else goes by its name. */
const keyOf = ({ kind, name, architecture }: Item): string =>
  [kind, kind === "container-image" ? repositoryOf(name) : name, architecture ?? ""].join(" ");

const all = (items: readonly Item[]): ReadonlyMap<string, number> | undefined =>
  items.some(({ files }) => files === undefined)
    ? undefined
    : new Map(items.flatMap(({ files }) => [...(files ?? [])]));

const freshIn = (files: ReadonlyMap<string, number>, there: ReadonlyMap<string, number>): number =>
  [...files].reduce((total, [sha256, size]) => (there.has(sha256) ? total : total + size), 0);

/**
 * What changes from one side to the other, sorted by kind, name and architecture. Of two images of one repository the same tag
 * goes with the same tag first. Sizes are in bytes. Pure.
 */
export const difference = (before: readonly Item[], after: readonly Item[]): Difference => {
  const left = [...before];
  const take = (wanted: Item, exact: boolean): Item | undefined => {
    const at = left.findIndex((each) => keyOf(each) === keyOf(wanted) && (!exact || isSameName(each, wanted)));
    return at < 0 ? undefined : left.splice(at, 1)[0];
  };
  const exact = new Map(after.map((item) => [item, take(item, true)]));
  const pairs = after.map((item) => [exact.get(item) ?? take(item, false), item] as const);
  const there = all(before);
  const changes: Change[] = [
    ...pairs.flatMap(([from, to]): Change[] => {
      if (from !== undefined && from.digest === to.digest && isSameName(from, to)) return [];
      return [
        {
          change: from === undefined ? "added" : "changed",
          kind: to.kind,
          name: to.name,
          ...(to.architecture !== undefined && { architecture: to.architecture }),
          ...(from !== undefined && { from }),
          to,
          ...(there !== undefined && to.files !== undefined && { fresh: freshIn(to.files, there) }),
        },
      ];
    }),
    ...left.map(
      (from): Change => ({
        change: "removed",
        kind: from.kind,
        name: from.name,
        ...(from.architecture !== undefined && { architecture: from.architecture }),
        from,
      }),
    ),
  ];
  const key = ({ kind, name, architecture }: Change): string => `${kind} ${name} ${architecture ?? ""}`;
  const now = all(after);
  return {
    changes: changes.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0)),
    ...(there !== undefined &&
      now !== undefined && { size: { from: sum(there), to: sum(now), fresh: freshIn(now, there) } }),
  };
};
