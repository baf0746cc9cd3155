/** PyPI cache and git proxy (guide rows G12, G13). */
import type { Profile } from "../profile/schema.ts";

export interface NetworkPlan {
  readonly pypiCache?: { readonly host: string; readonly port: number };
  readonly gitProxy?: { readonly for: string; readonly via: string };
}

export const planNetwork = ({ network }: Profile): NetworkPlan => ({
  ...(network.pypiCache !== undefined && { pypiCache: network.pypiCache }),
  ...(network.gitProxy !== undefined && { gitProxy: network.gitProxy }),
});
