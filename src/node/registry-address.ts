/**
 * A registry, or a mirror of one, as `host[:port][/path]`. Pure.
 * @param insecure Those that are asked without TLS.
 */
export const registryAddress = (
  place: string,
  insecure: readonly string[],
): { readonly host: string; readonly port: number } => {
  const authority = place.replace(/\/.*$/, "");
  const { hostname, port } = new URL(`registry://${authority}`);
  return { host: hostname, port: Number(port || (insecure.includes(authority) ? 80 : 443)) };
};
