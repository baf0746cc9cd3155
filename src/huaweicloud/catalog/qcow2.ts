/** What the header of a qcow2 file says: as much as the image service's limits are about. */
import { open } from "node:fs/promises";
import { BakeError } from "../../errors.ts";

const headerLength = 104;

export interface Qcow2 {
  /** Bytes of the disk that it is. */
  readonly virtualSize: number;
}

/** @throws BakeError BK438 for a file of another format, or one that is not whole by itself. */
export const readQcow2 = async (path: string): Promise<Qcow2> => {
  const refuse = (what: string, help: string): never => {
    throw new BakeError("BK438", `${path} ${what}`, help);
  };
  const header = Buffer.alloc(headerLength);
  const file = await open(path);
  try {
    await file.read(header, 0, headerLength, 0);
  } finally {
    await file.close();
  }
  if (header.toString("latin1", 0, 4) !== "QFI\xfb")
    refuse("is no qcow2", "The image service knows other formats; bake makes qcow2: import what bake image made.");
  if (header.readBigUInt64BE(8) !== 0n)
    refuse("holds only what differs from another file", "qemu-img convert -O qcow2 makes one of both.");
  if (header.readUInt32BE(32) !== 0)
    refuse(
      "is encrypted",
      "The image service cannot read it. Import it unencrypted: bake catalog copy --encrypt encrypts it there.",
    );
  return { virtualSize: Number(header.readBigUInt64BE(24)) };
};
