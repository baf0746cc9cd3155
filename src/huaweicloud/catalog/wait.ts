/** Waits for an image that the cloud makes, whoever began it. */
import type { BakeError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import type { CatalogImage } from "./image.ts";

/** Milliseconds between two looks, and for how long a list may be old. */
const [pause, listTime] = [10_000, 60_000];

/** Whether the cloud is at work on it. Pure. */
export const isMaking = ({ status }: CatalogImage): boolean => ["queued", "saving", "importing"].includes(status);

/** The one that is active, else one that is on its way. Pure. */
export const readiest = (images: readonly CatalogImage[]): CatalogImage | undefined =>
  images.find(({ status }) => status === "active") ?? images.find(isMaking);

export interface ImageWait {
  /** The image as it is now; undefined where there is none. */
  readonly look: () => Promise<CatalogImage | undefined>;
  /** Milliseconds. */
  readonly most: number;
  /** What is said when it is there no more, and when it takes longer than that. */
  readonly gone: () => BakeError;
  readonly late: (image: CatalogImage) => BakeError;
  readonly onLook: (seconds: number) => void;
}

/** @returns the active image. @throws what `gone` and `late` make; what `look` throws; the signal's reason. */
export const waitForImage = async (
  host: Pick<Host, "now" | "sleep" | "signal">,
  { look, most, gone, late, onLook }: ImageWait,
): Promise<CatalogImage> => {
  const started = host.now();
  for (;;) {
    const image = await look();
    const waited = host.now() - started;
    if (image === undefined && waited > listTime) throw gone();
    if (image?.status === "active") return image;
    if (image !== undefined && waited > most) throw late(image);
    onLook(Math.round(waited / 1000));
    await host.sleep(pause, host.signal);
  }
};
