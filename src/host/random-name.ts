import { randomBytes } from "node:crypto";

/**
 * A part of a file's name that no other file has.
 * @param bytes Of randomness: two hex digits each.
 */
export const randomName = (bytes = 6): string => randomBytes(bytes).toString("hex");
