/** Whom a node talks to, each once, and what goes by the HTTP proxy. Pure. */
import type { Destination, PlannedDestination } from "../node/concern.ts";
import type { HttpProxy } from "../node/facts.ts";
import { isExcepted } from "../profile/no-proxy.ts";
import { inOrder } from "./order.ts";

const isSame = (a: PlannedDestination, b: PlannedDestination): boolean =>
  a.host === b.host && a.port === b.port && a.protocol === b.protocol && a.when === b.when;

/** Each once, with all that it is asked for; of the rest what the first one says stays. */
const merged = (all: readonly PlannedDestination[]): PlannedDestination[] =>
  all.flatMap((one, index) => {
    const same = all.filter((other) => isSame(one, other));
    if (same[0] !== all[index]) return [];
    return [{ ...one, why: [...new Set(same.map(({ why }) => why))].join("; ") }];
  });

/** The build machine has a way of its own, and a proxy carries TCP alone. */
export const planDestinations = (
  destinations: readonly Destination[],
  proxy: HttpProxy | undefined,
): PlannedDestination[] => {
  const all = inOrder(destinations).map(
    ({ order: _order, protocol = "tcp", ...rest }): PlannedDestination => ({ ...rest, protocol }),
  );
  const unique = merged(all);
  if (proxy === undefined) return unique;
  const direct = [...proxy.except, new URL(proxy.url).hostname];
  return unique.map((one) =>
    one.when === "bake" || one.protocol === "udp" || direct.some((entry) => isExcepted(one.host, entry))
      ? one
      : { ...one, through: "proxy" },
  );
};
