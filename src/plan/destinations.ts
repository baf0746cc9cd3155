/** Whom a node talks to, each once, and what goes by the HTTP proxy. Pure. */
import type { Destination, PlannedDestination } from "../node/concern.ts";
import type { HttpProxy } from "../node/facts.ts";
import { isExcepted } from "../profile/no-proxy.ts";
import { inOrder } from "./order.ts";

const isSame = (a: PlannedDestination, b: PlannedDestination): boolean =>
  a.host === b.host && a.port === b.port && a.protocol === b.protocol && a.when === b.when;

/** Of two that are the same the first one stays. The build machine has a way of its own, and a proxy carries TCP alone. */
export const planDestinations = (
  destinations: readonly Destination[],
  proxy: HttpProxy | undefined,
): PlannedDestination[] => {
  const all = inOrder(destinations).map(
    ({ order: _order, protocol = "tcp", ...rest }): PlannedDestination => ({ ...rest, protocol }),
  );
  const unique = all.filter((one, index) => all.findIndex((other) => isSame(one, other)) === index);
  if (proxy === undefined) return unique;
  const direct = [...proxy.except, new URL(proxy.url).hostname];
  return unique.map((one) =>
    one.when === "bake" || one.protocol === "udp" || direct.some((entry) => isExcepted(one.host, entry))
      ? one
      : { ...one, through: "proxy" },
  );
};
