import type { Rule } from "../../profile/rules/rule.ts";

/** Agent i owns the NPUs (i-1)×cards to i×cards-1 (guide row G5): more than the host has would share them, or lack them. */
export const npuCount: Rule = {
  code: "BK119",
  reads: ["agents.spawn", "agents.cards", "agents.npus"],
  find: ({ agents: { spawn, cards, npus: present } }) =>
    spawn * cards <= present
      ? []
      : [
          {
            path: ["agents", cards > present ? "cards" : "spawn"],
            message: `${spawn} ${spawn === 1 ? "agent" : "agents"} with ${cards} ${cards === 1 ? "card" : "cards"}${spawn === 1 ? " needs" : " each need"} ${spawn * cards} NPUs, the host has ${present}`,
            label: cards > present ? "not one agent has its cards" : `at most ${Math.floor(present / cards)} here`,
            help: "agents.spawn × agents.cards must not be above agents.npus, which is 8 unless the profile says otherwise",
          },
        ],
};
