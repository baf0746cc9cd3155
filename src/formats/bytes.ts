/** Bytes in a GiB. Sizes of disks and memory are in binary units. */
export const gib = 2 ** 30;

/** `187.0 MiB`, `12.3 GiB`: of what lies on a disk. */
export const formatBinary = (bytes: number): string =>
  bytes < gib ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : `${(bytes / gib).toFixed(1)} GiB`;

/** `812 B`, `26.1 MB`, `1.20 GB`: decimal units, as hosts of releases show them. */
export const formatBytes = (bytes: number): string => {
  const size = Math.abs(bytes);
  const sign = bytes < 0 ? "-" : "";
  if (size < 1000) return `${sign}${size} B`;
  if (size < 1e6) return `${sign}${(size / 1e3).toFixed(1)} kB`;
  return size < 1e9 ? `${sign}${(size / 1e6).toFixed(1)} MB` : `${sign}${(size / 1e9).toFixed(2)} GB`;
};
