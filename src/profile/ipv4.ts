/** IPv4 networks as ranges of numbers. */

export interface Ipv4Range {
  readonly first: number;
  readonly last: number;
}

const number = (address: string): number | undefined => {
  const parts = address.split(".");
  if (parts.length !== 4 || parts.some((part) => !/^\d{1,3}$/.test(part) || Number(part) > 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
};

/** Of `10.0.0.0/8` or one address; undefined for a name. */
export const ipv4Range = (network: string): Ipv4Range | undefined => {
  const [address = "", prefix = "32"] = network.split("/");
  const base = number(address);
  const length = Number(prefix);
  if (base === undefined || !Number.isInteger(length) || length < 0 || length > 32) return undefined;
  const size = 2 ** (32 - length);
  const first = Math.floor(base / size) * size;
  return { first, last: first + size - 1 };
};

/** Whether two ranges have an address in common. Pure. */
export const overlap = (a: Ipv4Range, b: Ipv4Range): boolean => a.first <= b.last && b.first <= a.last;

const address = (value: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");

/** The network that an address with a prefix length is in: `10.0.0.0/8` of `10.1.2.3/8`. Pure. */
export const networkOf = (network: string): string =>
  `${address(ipv4Range(network)?.first ?? 0)}/${network.split("/")[1] ?? "32"}`;
