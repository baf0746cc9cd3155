/** Headers of things that a data disk may hold and that no tool of the trial's node can make. */

/** The label that LVM writes into the second sector of a physical volume. */
export const lvmLabel = (): Buffer => {
  const sector = Buffer.alloc(512);
  sector.write("LABELONE", 0, "ascii");
  sector.writeBigUInt64LE(1n, 8);
  sector.writeUInt32LE(32, 20);
  sector.write("LVM2 001", 24, "ascii");
  sector.write("0123456789abcdefghijklmnopqrstuv", 32, "ascii");
  let crc = 0xf597a6cf;
  for (const byte of sector.subarray(20)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  sector.writeUInt32LE(crc >>> 0, 16);
  return Buffer.concat([Buffer.alloc(512), sector]);
};

/** The start of a LUKS version 1 header. */
export const luksHeader = (uuid: string): Buffer => {
  const header = Buffer.alloc(1024);
  Buffer.from("LUKS\xba\xbe", "latin1").copy(header);
  header.writeUInt16BE(1, 6);
  header.write("aes", 8, "ascii");
  header.write("xts-plain64", 40, "ascii");
  header.write("sha256", 72, "ascii");
  header.write(uuid, 168, "ascii");
  return header;
};

/** The superblock of a member of a Linux software RAID, metadata 1.2: 4 KiB into the disk. */
export const raidSuperblock = (): Buffer => {
  const superblock = Buffer.alloc(512);
  superblock.writeUInt32LE(0xa92b4efc, 0);
  superblock.writeUInt32LE(1, 4);
  Buffer.from("00112233445566778899aabbccddeeff", "hex").copy(superblock, 16);
  superblock.write("old:0", 32, "ascii");
  superblock.writeUInt32LE(2, 92);
  superblock.writeBigUInt64LE(8n, 144);
  superblock.writeUInt32LE(2, 220);
  let sum = 0n;
  // The roles of two devices follow the 256 bytes of the superblock.
  for (let at = 0; at < 260; at += 4) sum += BigInt(superblock.readUInt32LE(at));
  superblock.writeUInt32LE(Number(((sum & 0xffffffffn) + (sum >> 32n)) & 0xffffffffn), 216);
  return Buffer.concat([Buffer.alloc(4096), superblock]);
};
