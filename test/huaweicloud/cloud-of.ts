/** The client of bake at the emulator, with a clock that waiting moves. */
import { endpointsOf } from "../../src/huaweicloud/endpoints.ts";
import { type Cloud, type CloudSettings, makeCloud } from "../../src/huaweicloud/client.ts";
import { makeHttp } from "../../src/store/http.ts";
import type { Emulator } from "./emulator.ts";
import { ids, key } from "./world.ts";

export interface TestCloud extends Cloud {
  /** Milliseconds of each wait. */
  readonly waits: number[];
}

export const cloudOf = (emulator: Emulator, settings: Partial<CloudSettings> = {}): TestCloud => {
  const waits: number[] = [];
  const cloud = makeCloud(
    makeHttp({ env: emulator.env, stall: 3000 }),
    {
      now: emulator.now,
      random: () => 0.5,
      signal: new AbortController().signal,
      sleep: async (milliseconds) => {
        waits.push(milliseconds);
        emulator.advance(milliseconds);
      },
    },
    {
      credentials: key,
      region: emulator.world.region,
      endpoints: endpointsOf(settings.region ?? emulator.world.region),
      projectId: ids.project,
      ...settings,
    },
  );
  return { ...cloud, waits };
};

/** The clock and the waits of such a client. */
export const hostOf = (emulator: Emulator, cloud: TestCloud) => ({
  now: emulator.now,
  signal: new AbortController().signal,
  sleep: async (milliseconds: number): Promise<void> => {
    cloud.waits.push(milliseconds);
    emulator.advance(milliseconds);
  },
});
