/** Steps on the terminal: live with the time left where there is a terminal, plain lines elsewhere. */
import { readFile } from "node:fs/promises";
import type { Progress, Update } from "./host.ts";
import { writeFileAtomic } from "./write-file-atomic.ts";

export interface StepTime {
  readonly id: string;
  readonly title: string;
  readonly seconds: number;
}

/** A time for people: `7.0 s`, `12 s`, `2 min 05 s`. Pure. */
export const formatSeconds = (seconds: number): string => {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
};

/** `[####----]`. Pure. @param part From 0 to 1. @param width Characters between the brackets. */
export const bar = (part: number, width: number): string => {
  const full = Math.round(Math.min(1, Math.max(0, part)) * width);
  return `[${"#".repeat(full)}${"-".repeat(width - full)}]`;
};

/** Characters of the bar of a step. */
const stepBar = 20;

/** How far a step has come by what it took last time, and what is left: nobody knows better. Pure. */
const expectedLeft = (elapsed: number, expected: number | undefined): string => {
  if (expected === undefined || expected < shortest) return "";
  return elapsed <= expected
    ? ` ${bar(elapsed / expected, stepBar)} about ${formatSeconds(expected - elapsed)} left`
    : ` ${bar(1, stepBar)} ${formatSeconds(elapsed - expected)} longer than last time`;
};

/** Seconds: of a shorter step a bar would be gone before it is seen. */
const shortest = 3;

/** Where steps are shown. */
export interface ProgressOutput {
  write(text: string): void;
  /** Whether a line can be written over. */
  readonly live: boolean;
  readonly columns: number;
}

interface Running {
  readonly title: string;
  readonly started: number;
  readonly expected: number | undefined;
  detail: string;
  rows: readonly string[];
}

/** Milliseconds between two lines about one of many moments, where lines stay. */
const betweenMoments = 10_000;

/** Steps with their times; what each step took last time is kept in a file and announced. */
export class StepProgress implements Progress {
  readonly times: StepTime[] = [];
  readonly #output: ProgressOutput;
  readonly #now: () => number;
  readonly #last: Record<string, number>;
  #running: Running[] = [];
  #lastMoment = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(output: ProgressOutput, now: () => number, last: Record<string, number>) {
    this.#output = output;
    this.#now = now;
    this.#last = last;
  }

  lastTime(id: string): number | undefined {
    return this.#last[id];
  }

  note(line: string): void {
    this.#print(line);
  }

  /** A step that was timed elsewhere, such as one inside the build VM. */
  record(id: string, title: string, seconds: number): void {
    this.times.push({ id, title, seconds });
    this.#print(`  done ${title} (${formatSeconds(seconds)})`);
  }

  async step<T>(id: string, title: string, work: (update: Update) => Promise<T>): Promise<T> {
    const entry = { title, started: this.#now(), expected: this.#last[id], detail: "", rows: [] as readonly string[] };
    this.#running = [...this.#running, entry];
    const expected = entry.expected === undefined ? "" : ` (last time ${formatSeconds(entry.expected)})`;
    this.#print(`  ... ${title}${expected}`);
    this.#tick();
    try {
      const result = await work((detail, rows) => {
        entry.detail = detail;
        entry.rows = rows ?? [];
        if (this.#output.live || detail === "") return;
        if (rows !== undefined && this.#now() - this.#lastMoment < betweenMoments) return;
        if (rows !== undefined) this.#lastMoment = this.#now();
        this.#print(`      ${detail}`);
      });
      const seconds = (this.#now() - entry.started) / 1000;
      this.times.push({ id, title, seconds });
      this.#end(entry);
      this.#print(`  done ${title} (${formatSeconds(seconds)})`);
      return result;
    } catch (error) {
      this.#end(entry);
      this.#print(`  FAILED ${title} after ${formatSeconds((this.#now() - entry.started) / 1000)}`);
      throw error;
    }
  }

  /** What the steps of this run took, over what earlier runs took. */
  durations(): Record<string, number> {
    return {
      ...this.#last,
      ...Object.fromEntries(this.times.map(({ id, seconds }) => [id, Math.round(seconds * 10) / 10])),
    };
  }

  #end(entry: object): void {
    this.#running = this.#running.filter((other) => other !== entry);
    if (this.#running.length === 0 && this.#timer !== undefined) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #print(line: string): void {
    this.#output.write(`${this.#output.live ? "\r\u001b[J" : ""}${line}\n`);
  }

  #tick(): void {
    if (!this.#output.live || this.#timer !== undefined) return;
    this.#timer = setInterval(() => {
      const entry = this.#running.at(-1);
      if (entry === undefined) return;
      const elapsed = (this.#now() - entry.started) / 1000;
      // Downloads know better how far they are: by bytes.
      const left = entry.rows.length > 0 ? "" : expectedLeft(elapsed, entry.expected);
      const detail = entry.detail === "" ? "" : ` - ${entry.detail}`;
      const lines = [
        `  ... ${entry.title} ${formatSeconds(elapsed)}${left}${detail}`,
        ...entry.rows.map((row) => `      ${row}`),
      ];
      const cut = lines.map((line) => line.slice(0, this.#output.columns - 1)).join("\n");
      // The cursor goes back to where the first line starts: the next moment is written over this one.
      this.#output.write(`\r\u001b[J${cut}${entry.rows.length > 0 ? `\u001b[${entry.rows.length}A` : ""}\r`);
    }, 500);
    this.#timer.unref();
  }
}

/** Seconds of steps by their ids, as they were kept last; empty where there is no such file. */
export const readDurations = async (path: string): Promise<Record<string, number>> => {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Record<string, number>;
  } catch {
    // Only an estimate: an unreadable file costs nothing but that.
    return {};
  }
};

/** Keeps the seconds of steps by their ids. @throws NodeJS.ErrnoException */
export const writeDurations = (path: string, durations: Record<string, number>): Promise<void> =>
  writeFileAtomic(path, `${JSON.stringify(durations, null, 2)}\n`);
