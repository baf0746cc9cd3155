/** UUIDs that are the same for the same content. */
import { createHash } from "node:crypto";

/** @param version Which kind it says it is: 4 by chance, 5 by a name. Pure. */
export const uuidOf = (text: string, version: 4 | 5): string => {
  const hex = createHash("sha256").update(text).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${version}${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
};
