/**
 * A rollout over nodes in memory, by the clock of that world: time over the ideal of its waves, calls a node, stop requests, memory; for 1,000
 * nodes, and for 10,000 how each grows. Run it by `bin/bench rollout`; takes a minute or two.
 */
import { begin, goOn, settingsOf } from "../test/rollout/rolling.ts";
import { randomOf } from "../test/rollout/random.ts";
import { TestWorld } from "../test/rollout/world.ts";

const change = 180_000;
const boot = 120_000;

/** @param count Nodes. */
const measure = async (count: number) => {
  const random = randomOf(count);
  const world = new TestWorld({ change, boot });
  world.strict = false;
  world.addImage("old");
  world.addImage("new");
  const jobs = new Map<string, number>();
  for (let number = 1; number <= count; number++) {
    const server = world.add(`n${number}`, "old");
    const job = random.between(0, 900) * 1000;
    jobs.set(server.id, job);
    // As long from when its wave begins: a busy fleet.
    world.onHold(server, () => world.work(server, 0, job));
  }
  const { begun } = await begin(world, "new", { settings: settingsOf({ wave: "10%", minHealthy: "75%" }) });
  const from = world.now;
  const started = process.hrtime.bigint();
  const state = await goOn(world);
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  const { canarySoak, soak } = begun.settings;
  let ideal = 0;
  for (let wave = 0; wave < begun.waves; wave++) {
    const longest = Math.max(...begun.nodes.filter((node) => node.wave === wave).map(({ id }) => jobs.get(id) ?? 0));
    ideal += longest + change + boot + (wave === 0 ? canarySoak : soak) * 1000;
  }
  const looks = world.calls.filter((call) => call === "look").length;
  const calls = world.calls.filter((call) => /^(?:hold|change|release|ask) /.test(call)).length;
  return {
    status: state.status,
    waves: begun.waves,
    violations: world.violations.length,
    over: (world.now - from) / ideal,
    calls: calls / count,
    looks: looks / begun.waves,
    stops: world.stopRequests,
    agents: world.stoppedAgents,
    lines: world.journal.length / count,
    seconds,
    memory: process.memoryUsage().rss / 2 ** 20,
  };
};

for (const count of [1000, 10_000]) {
  const { status, waves, violations, over, calls, looks, stops, agents, lines, seconds, memory } = await measure(count);
  process.stdout.write(
    [
      `${count} nodes in ${waves} waves: ${status}, ${violations} forbidden calls (the whole journal is looked through by the tests alone)`,
      `  time over the ideal of its waves: ${over.toFixed(3)} (aim at most 1.1)`,
      `  calls a node: ${calls.toFixed(2)} (aim at most 3); looks a wave: ${looks.toFixed(0)}`,
      `  stop requests as the rollout asks: ${stops} for ${agents} agents, ${(agents / stops).toFixed(0)} each (aim at least 20)`,
      `  lines of the journal a node: ${lines.toFixed(1)}; ${seconds.toFixed(1)} s of this machine, ${memory.toFixed(0)} MB with the world itself (aim at most 200)`,
      "",
    ].join("\n"),
  );
}
