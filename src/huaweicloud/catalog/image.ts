/** Images of the catalogue: those that carry bake's own tags, and what these tags say. Pure. */
import * as z from "zod";

const OrNothing = z.string().nullish();

/** As the service lists it. */
export const ListedImage = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  min_disk: z.coerce.number().default(0),
  created_at: OrNothing,
  protected: z.boolean().default(false),
  tags: z.array(z.string()).nullish(),
  __imagetype: OrNothing,
  __description: OrNothing,
  __image_size: z.coerce.number().nullish().catch(undefined),
  __system__encrypted: OrNothing,
  __system__cmkid: OrNothing,
  os_shutdown_timeout: z.coerce.string().nullish(),
});

export interface CatalogImage {
  readonly id: string;
  readonly name: string;
  /** As the service calls it: `active`, `queued`, `saving`, `killed`. */
  readonly status: string;
  /** Milliseconds since the epoch; 0 when the service does not say it. */
  readonly created: number;
  /** Bytes; undefined where the service does not say it. */
  readonly size: number | undefined;
  /** GiB of a system disk that it needs. */
  readonly minDisk: number;
  readonly description: string;
  readonly protected: boolean;
  /** The key that it is encrypted by; empty when that is not said. */
  readonly encryptedBy: string | undefined;
  /** Seconds, as text. */
  readonly shutdownTimeout: string | undefined;
  /** With those of the user. A tag without a value has an empty one. */
  readonly tags: Readonly<Record<string, string>>;
  readonly bakeId: string;
  readonly lock: string | undefined;
  /** The value of the tag, whatever it is. */
  readonly promoted: string | undefined;
  readonly verified: string | undefined;
}

/** Tags of the service's list, `name=value`. Pure. */
const tagsOf = (tags: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    tags.map((tag) => {
      const at = tag.indexOf("=");
      return at < 0 ? [tag, ""] : [tag.slice(0, at), tag.slice(at + 1)];
    }),
  );

/**
 * Reads one of the service's images. Pure.
 * @param profileTag The value of `bake-profile`; undefined for any image, also one without bake's tags.
 * @returns undefined for one that is not a bake's of this profile: no command touches it.
 */
export const readImage = (
  image: z.infer<typeof ListedImage>,
  profileTag: string | undefined,
): CatalogImage | undefined => {
  const tags = tagsOf(image.tags ?? []);
  const bakeId = tags["bake-id"] ?? "";
  const isPrivate = (image["__imagetype"] ?? "private") === "private";
  if (image.status === "deleted" || !isPrivate) return undefined;
  if (profileTag !== undefined && (bakeId === "" || tags["bake-profile"] !== profileTag)) return undefined;
  const created = Date.parse(image.created_at ?? "");
  const isEncrypted = image["__system__encrypted"] === "1" || (image["__system__cmkid"] ?? "") !== "";
  return {
    id: image.id,
    name: image.name,
    status: image.status,
    created: Number.isNaN(created) ? 0 : created,
    size: image["__image_size"] ?? undefined,
    minDisk: image.min_disk,
    description: image["__description"] ?? "",
    protected: image.protected,
    encryptedBy: isEncrypted ? (image["__system__cmkid"] ?? "") : undefined,
    shutdownTimeout: image.os_shutdown_timeout ?? undefined,
    tags,
    bakeId,
    lock: tags["bake-lock"],
    promoted: tags["bake-promoted"],
    verified: tags["bake-verified"],
  };
};
