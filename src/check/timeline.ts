/** When each unit started and was up, as systemd saw it. */
import { gib } from "../formats/bytes.ts";
import { shellWord } from "../formats/shell.ts";

export interface UnitTime {
  readonly unit: string;
  /** Seconds since the kernel started. Absent: it did not. */
  readonly start?: number;
  readonly up?: number;
  readonly state: string;
}

/** How a blank data disk was filled. */
export interface Seeding {
  readonly bytes: number;
  readonly seconds: number;
}

export interface Timeline {
  /** Seconds since the kernel started at which user space began, and at which the boot was finished. */
  readonly userspace: number;
  readonly finished?: number;
  readonly units: readonly UnitTime[];
  /** Absent: in this boot no seed was written. */
  readonly seeding?: Seeding;
  /** The units that took longest, besides those above. */
  readonly longest: readonly { readonly unit: string; readonly seconds: number }[];
}

const properties = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split("\n")
      .filter((line) => line.includes("="))
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );

const seconds = (microseconds: string | undefined): number | undefined => {
  const value = Number(microseconds);
  return Number.isFinite(value) && value > 0 ? value / 1e6 : undefined;
};

/** Reads blocks of `systemctl show`, one a unit, with blank lines between. Pure. */
export const parseUnits = (text: string): UnitTime[] =>
  text
    .trim()
    .split(/\n\n+/)
    .map(properties)
    .filter(({ Id }) => Id !== undefined && Id !== "")
    .map((unit) => {
      const start = seconds(unit["InactiveExitTimestampMonotonic"]);
      const up = seconds(unit["ActiveEnterTimestampMonotonic"]);
      return {
        unit: unit["Id"] ?? "",
        state: unit["ActiveState"] ?? "unknown",
        ...(start !== undefined && { start }),
        ...(up !== undefined && { up }),
      };
    });

const show = "--property=Id,ActiveState,InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic";

/** Reads "bytes seconds", as bake-seed leaves them. Pure. */
export const parseSeeding = (text: string): Seeding | undefined => {
  const [, bytes, seconds_] = /^(\d+) (\d+)\n$/.exec(text) ?? [];
  return bytes === undefined ? undefined : { bytes: Number(bytes), seconds: Number(seconds_) };
};

/** As in "data disk seeded: 40.1 GiB in 132 s, 311 MiB/s". Pure. */
export const formatSeeding = ({ bytes, seconds: took }: Seeding): string =>
  `data disk seeded: ${(bytes / gib).toFixed(1)} GiB in ${took} s, ${Math.round(bytes / 2 ** 20 / Math.max(1, took))} MiB/s`;

/**
 * Asks systemd when each unit started and was up.
 * @param ssh Runs a command on the node.
 * @param units Those to show, by name.
 */
export const collectTimeline = async (
  ssh: (command: string) => Promise<{ stdout: string }>,
  units: readonly string[],
): Promise<Timeline> => {
  const manager = properties(
    (await ssh("systemctl show --property=UserspaceTimestampMonotonic,FinishTimestampMonotonic")).stdout,
  );
  // Without names, systemctl would show the manager.
  const own =
    units.length === 0
      ? []
      : parseUnits((await ssh(`systemctl show ${show} ${units.map(shellWord).join(" ")}`)).stdout);
  const all = parseUnits((await ssh(`systemctl show ${show} '*.service' '*.mount'`)).stdout);
  const seeding = parseSeeding((await ssh("cat /run/bake/seeded 2>/dev/null || true")).stdout);
  const finished = seconds(manager["FinishTimestampMonotonic"]);
  return {
    userspace: seconds(manager["UserspaceTimestampMonotonic"]) ?? 0,
    ...(finished !== undefined && { finished }),
    units: own,
    ...(seeding !== undefined && { seeding }),
    longest: all
      .filter(({ unit }) => !units.includes(unit))
      // A unit that stopped and is starting again was up before it started: not a time of its own.
      .flatMap(({ unit, start, up }) =>
        start === undefined || up === undefined || up < start ? [] : [{ unit, seconds: up - start }],
      )
      .toSorted((a, b) => b.seconds - a.seconds)
      .slice(0, 5),
  };
};

/** A table with a bar for each unit, from power-on to the last of them. Pure. */
export const formatTimeline = ({ userspace, finished, units, longest, seeding }: Timeline): string => {
  const end = Math.max(1, ...units.flatMap(({ start, up }) => [start ?? 0, up ?? 0]));
  const width = 40;
  const column = (value: number): number => Math.round((value / end) * width);
  const name = Math.max(0, ...units.map(({ unit }) => unit.length));
  const rows = units.map(({ unit, start, up, state }) => {
    if (start === undefined) return `  ${unit.padEnd(name)}  ${state}`;
    const last = up ?? end;
    const bar = " ".repeat(column(start)) + "#".repeat(Math.max(1, column(last) - column(start)));
    const times = `${start.toFixed(1).padStart(6)} ${up === undefined ? "     -" : up.toFixed(1).padStart(6)}`;
    return `  ${unit.padEnd(name)}  ${times}  |${bar.padEnd(width + 1)}|${state === "active" ? "" : ` ${state}`}`;
  });
  return [
    `  kernel ${userspace.toFixed(1)} s${finished === undefined ? "" : `, boot finished at ${finished.toFixed(1)} s`}; seconds since the kernel started (start, up):`,
    ...rows,
    ...(seeding === undefined ? [] : [`  ${formatSeeding(seeding)}`]),
    `  longest others: ${longest.map((entry) => `${entry.unit} ${entry.seconds.toFixed(1)} s`).join(", ") || "none"}`,
  ].join("\n");
};
