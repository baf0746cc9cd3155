/**
 * What state an image is in. A promotion is a moment written on one image, `bake-promoted=20261126T130000Z`: the newest is current,
 * the second previous, and nothing has to be taken from one image when another gets it. Pure.
 */
import { sdkDate } from "../sign.ts";
import type { CatalogImage } from "./image.ts";

export type State = "current" | "previous" | "candidate" | "retired" | "making" | "failed" | "unclear";

/** What each means, for people. */
export const stateWords: Readonly<Record<State, string>> = {
  current: "promoted last: new servers are made from it",
  previous: "promoted before that: the way back",
  candidate: "never promoted",
  retired: "promoted once, and two others since",
  making: "the cloud has not finished it",
  failed: "the cloud could not make it",
  unclear: "its tag bake-promoted is no moment: nobody but a person can say what it is",
};

/** The moment of a tag's value, in milliseconds; undefined for what bake does not write. Pure. */
export const momentOf = (value: string): number | undefined => {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(value) ?? [];
  if (year === undefined) return undefined;
  const moment = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(moment) || sdkDate(moment) !== value ? undefined : moment;
};

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Newest promotion first; of two of one second the image that was made later. Pure. */
const byPromotion = (a: CatalogImage, b: CatalogImage): number =>
  byText(b.promoted ?? "", a.promoted ?? "") || b.created - a.created || byText(b.id, a.id);

const isMaking = ({ status }: CatalogImage): boolean => ["queued", "saving", "importing"].includes(status);

export interface Stated {
  readonly image: CatalogImage;
  readonly state: State;
}

/** Each image with its state, the one that was made last first. Pure. */
export const statesOf = (images: readonly CatalogImage[]): Stated[] => {
  const promoted = images
    .filter((image) => image.status === "active" && momentOf(image.promoted ?? "") !== undefined)
    .toSorted(byPromotion);
  const [current, previous] = promoted;
  const stateOf = (image: CatalogImage): State => {
    if (isMaking(image)) return "making";
    if (image.status !== "active") return "failed";
    if (image.promoted === undefined) return "candidate";
    if (momentOf(image.promoted) === undefined) return "unclear";
    return image === current ? "current" : image === previous ? "previous" : "retired";
  };
  return images
    .toSorted((a, b) => b.created - a.created || byText(a.id, b.id))
    .map((image) => ({ image, state: stateOf(image) }));
};

/**
 * The moment to write for a promotion: it has to be the newest, also when this machine's clock, or an earlier one's, is off. Pure.
 * @param now Milliseconds, by the cloud's clock where it is known.
 */
export const promotionMoment = (images: readonly CatalogImage[], now: number): string => {
  const newest = Math.max(0, ...images.map(({ promoted }) => momentOf(promoted ?? "") ?? 0));
  return sdkDate(Math.max(now, newest + 1000));
};
