import { describe, expect, it } from "vitest";
import { collectTimeline, formatTimeline, parseSeeding, parseUnits } from "../../src/check/timeline.ts";

const block = (id: string, state: string, start: number, up: number): string =>
  [
    `Id=${id}`,
    `ActiveState=${state}`,
    `InactiveExitTimestampMonotonic=${start}`,
    `ActiveEnterTimestampMonotonic=${up}`,
  ].join("\n");

const own = [
  block("docker.service", "active", 20_000_000, 26_500_000),
  block("bake-ready.service", "failed", 27_000_000, 0),
  block("buildkite-agent.service", "inactive", 0, 0),
].join("\n\n");

describe("parseUnits", () => {
  it("reads seconds, and leaves out what did not happen", () => {
    expect(parseUnits(own)).toEqual([
      { unit: "docker.service", state: "active", start: 20, up: 26.5 },
      { unit: "bake-ready.service", state: "failed", start: 27 },
      { unit: "buildkite-agent.service", state: "inactive" },
    ]);
  });

  it("reads nothing from nothing", () => {
    expect(parseUnits("\n")).toEqual([]);
  });
});

describe("collectTimeline", () => {
  const all = [
    own,
    block("slow.service", "active", 1_000_000, 9_000_000),
    block("restarted.service", "active", 30_000_000, 5_000_000),
    block("quick.service", "active", 1_000_000, 1_100_000),
    block("never.mount", "inactive", 0, 0),
  ].join("\n\n");

  const node = async (command: string): Promise<{ stdout: string }> => {
    if (command.includes("UserspaceTimestamp")) {
      return { stdout: "UserspaceTimestampMonotonic=4200000\nFinishTimestampMonotonic=31000000\n" };
    }
    if (command.startsWith("cat ")) return { stdout: "42949672960 128\n" };
    return { stdout: command.includes("*.service") ? all : own };
  };

  it("lists the longest of the other units, longest first", async () => {
    const timeline = await collectTimeline(node, ["docker.service", "bake-ready.service", "buildkite-agent.service"]);
    expect(timeline.userspace).toBe(4.2);
    expect(timeline.finished).toBe(31);
    expect(timeline.seeding).toEqual({ bytes: 42949672960, seconds: 128 });
    expect(formatTimeline(timeline)).toContain("\n  data disk seeded: 40.0 GiB in 128 s, 320 MiB/s\n");
    expect(timeline.longest).toEqual([
      { unit: "slow.service", seconds: 8 },
      { unit: "quick.service", seconds: expect.closeTo(0.1) },
    ]);
  });

  it("says nothing of a seed where none was written", () => {
    for (const text of ["", "\n", "cat: /run/bake/seeded: No such file\n", "12\n"])
      expect(parseSeeding(text)).toBeUndefined();
  });

  it("asks for nothing in particular without units", async () => {
    const asked: string[] = [];
    const timeline = await collectTimeline(async (command) => {
      asked.push(command);
      return node(command);
    }, []);
    expect(timeline.units).toEqual([]);
    expect(asked).toHaveLength(3);
  });
});

describe("formatTimeline", () => {
  it("aligns names, times and bars", () => {
    const text = formatTimeline({
      userspace: 4.2,
      finished: 31,
      units: parseUnits(own),
      longest: [{ unit: "slow.service", seconds: 8 }],
    });
    expect(text).toBe(
      [
        "  kernel 4.2 s, boot finished at 31.0 s; seconds since the kernel started (start, up):",
        `  docker.service             20.0   26.5  |${`${" ".repeat(30)}#########`.padEnd(41)}|`,
        `  bake-ready.service         27.0      -  |${" ".repeat(40)}#| failed`,
        "  buildkite-agent.service  inactive",
        "  longest others: slow.service 8.0 s",
      ].join("\n"),
    );
  });

  it("says so when the boot has not finished", () => {
    expect(formatTimeline({ userspace: 1, units: [], longest: [] })).toBe(
      "  kernel 1.0 s; seconds since the kernel started (start, up):\n  longest others: none",
    );
  });
});
