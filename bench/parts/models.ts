/** Models: fetched from a mirror over one curl of the same bytes, and what sixteen agents take over one. Wants root. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { lockedModelOf, openMirror, openModelNode, planWith, sha256 } from "../../test/models.ts";

export interface ModelTimes {
  /** MiB of all files. */
  readonly mib: number;
  /** Seconds of each round: as fast as it goes, and from a server that gives each connection 40 MiB a second. */
  readonly fetch: readonly number[];
  readonly curl: readonly number[];
  readonly slowFetch: readonly number[];
  readonly slowCurl: readonly number[];
  /** Bytes used on the data disk, by 1 and by 16 agents. */
  readonly used: readonly [one: number, sixteen: number];
  /** Seconds of mounting the views of 16 agents, divided by them. */
  readonly view: number;
}

const slow = 40 << 20;

/** @param mib Of each of eight files. */
export const measureModels = async (mib: number, rounds: number): Promise<ModelTimes> => {
  const contents = Object.fromEntries(
    Array.from({ length: 8 }, (_, index) => [`model-${index}.safetensors`, randomBytes(mib << 20)]),
  );
  const one = Buffer.concat(Object.values(contents));
  const node = openModelNode(`${mib * 20 + 256}M`);
  const mirror = await openMirror();
  try {
    for (const bytes of [...Object.values(contents), one]) mirror.contents.set(sha256(bytes), bytes);
    node.lay(planWith(node.mount, [{ model: lockedModelOf("modelscope", "bench/model", contents), from: "mirror" }]));
    const digest = sha256(one);
    const times = new Map<string, number[]>();
    const run = async (script: string): Promise<string> => {
      const { code, output } = await node.run(`set -e
took() { local began; sync; began=$(date +%s.%N); "\${@:2}" >/dev/null; sync -f ${node.mount}; echo "$1 $(date +%s.%N) $began" | awk '{ printf "%s %.3f\\n", $1, $2 - $3 }'; }
agents() { sed -i "s/^MODELS_AGENTS=.*/MODELS_AGENTS=\\"$1\\"/" ${join(node.folder, "etc/bake/models.env")}; }
used() { sync -f ${node.mount}; echo "$1 $(df -B1 --output=used ${node.mount} | tail -n 1)"; }
${script}`);
      if (code !== 0) throw new Error(output);
      for (const [, what = "", number] of output.matchAll(/^(\w+) ([\d.]+)$/gm))
        times.set(what, [...(times.get(what) ?? []), Number(number)]);
      return output;
    };
    for (let round = 0; round < rounds; round++) {
      for (const [name, rate] of [
        ["", 0],
        ["slow", slow],
      ] as const) {
        mirror.rate = rate;
        await run(`rm -rf ${node.mount}/.bake/models ${node.mount}/one
took ${name}fetch $models fetch ${mirror.url}
took ${name}curl curl --noproxy '*' -sSf -o ${node.mount}/one ${mirror.url}/sha256/${digest.slice(0, 2)}/${digest.slice(2)}; rm ${node.mount}/one`);
      }
    }
    await run(`agents 1; $models mount >/dev/null; used one
agents 16; took views $models mount; used sixteen
for agent in $(seq 16); do cat ${node.mount}/modelscope$agent/hub/models/bench/model/model-7.safetensors | cmp - ${node.mount}/modelscope1/hub/models/bench/model/model-7.safetensors; done`);
    const of = (what: string): readonly number[] => times.get(what) ?? [];
    return {
      mib: mib * 8,
      fetch: of("fetch"),
      curl: of("curl"),
      slowFetch: of("slowfetch"),
      slowCurl: of("slowcurl"),
      used: [of("one")[0] ?? 0, of("sixteen")[0] ?? 0],
      view: (of("views")[0] ?? 0) / 15,
    };
  } finally {
    mirror.close();
    node.close();
  }
};
