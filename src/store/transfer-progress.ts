/** What people see of downloads: the files that run, the total, its rate and the time left. Pure but for the clock passed in. */
import { formatBytes } from "../formats/bytes.ts";
import type { Update } from "../host/host.ts";
import { bar, formatSeconds } from "../host/progress.ts";
import type { Downloaded, TransferEvent } from "./transfer.ts";

/** What is to be downloaded, and where it is shown. Sizes in bytes. */
export interface TransferProgressInput {
  readonly requests: readonly { readonly name: string; readonly size?: number }[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly update: Update;
}

/** Milliseconds between two lines about bytes. */
const every = 1000;

/** Milliseconds that the rate is taken over. */
const window = 15_000;

/** Characters. */
const barWidth = 20;

/** Turns the events of downloads into lines. */
export class TransferProgress {
  readonly #input: TransferProgressInput;
  readonly #running = new Map<string, { bytes: number; total: number | undefined }>();
  readonly #sizes: ReadonlyMap<string, number | undefined>;
  #settled = 0;
  #arrived = 0;
  /** Bytes that arrived, at moments. */
  #moments: { readonly at: number; readonly bytes: number }[] = [];
  #told = 0;

  constructor(input: TransferProgressInput) {
    this.#input = input;
    this.#sizes = new Map(input.requests.map(({ name, size }) => [name, size]));
  }

  /** Takes an event in, and shows it when it is time. */
  on(event: TransferEvent): void {
    const { update } = this.#input;
    switch (event.type) {
      case "there":
        this.#settled += event.bytes;
        return;
      case "start":
        this.#running.set(event.name, { bytes: event.bytes, total: event.total });
        update(`${event.name}${event.bytes > 0 ? `, going on after ${formatBytes(event.bytes)}` : ""}`);
        return;
      case "progress":
        this.#advance(event.name, event.bytes);
        this.#tell();
        return;
      case "done":
        this.#advance(event.name, event.bytes);
        this.#running.delete(event.name);
        this.#settled += event.bytes;
        this.#tell();
        return;
      case "retry":
        update(`${event.name}: ${event.reason}; again in ${formatSeconds(event.seconds)} (${event.url})`);
        return;
      case "wait":
        update(`${event.name}: process ${event.owner} fetches it already`);
        return;
      case "failed":
        this.#running.delete(event.name);
        update(`FAILED ${event.name}`);
        return;
    }
  }

  /** The last line. */
  summary(done: readonly Downloaded[]): string {
    const fresh = done.filter(({ fetched }) => fetched);
    const there = done.length - fresh.length;
    const bytes = fresh.reduce((sum, { size }) => sum + size, 0);
    return fresh.length === 0
      ? `all ${done.length} were there`
      : `${fresh.length} fetched (${formatBytes(bytes)})${there > 0 ? `, ${there} were there` : ""}`;
  }

  #advance(name: string, bytes: number): void {
    const one = this.#running.get(name);
    if (one === undefined) return;
    this.#arrived += Math.max(0, bytes - one.bytes);
    one.bytes = bytes;
    const at = this.#input.now();
    this.#moments = [...this.#moments.filter((moment) => at - moment.at <= window), { at, bytes: this.#arrived }];
  }

  /** Bytes a second, of late. */
  #rate(): number {
    const [first] = this.#moments;
    const last = this.#moments.at(-1);
    if (first === undefined || last === undefined || last.at === first.at) return 0;
    return ((last.bytes - first.bytes) * 1000) / (last.at - first.at);
  }

  #tell(): void {
    const now = this.#input.now();
    if (now - this.#told < every) return;
    this.#told = now;
    const known = [...this.#sizes.values()];
    const total = known.every((size) => size !== undefined)
      ? known.reduce((sum: number, size) => sum + (size ?? 0), 0)
      : undefined;
    const here = this.#settled + [...this.#running.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    const rate = this.#rate();
    const left = total === undefined || rate === 0 ? undefined : (total - here) / rate;
    const parts = [
      ...(total === undefined || total === 0
        ? [formatBytes(here)]
        : [bar(here / total, barWidth), `${formatBytes(here)} of ${formatBytes(total)}`]),
      ...(rate > 0 ? [`${formatBytes(rate)}/s`] : []),
      ...(left === undefined ? [] : [`${formatSeconds(left)} left`]),
    ];
    const rows = [...this.#running].map(([name, { bytes, total: size }]) =>
      size === undefined || size === 0
        ? `${" ".repeat(barWidth + 2)} ${formatBytes(bytes)}  ${name}`
        : `${bar(bytes / size, barWidth)} ${formatBytes(bytes)} of ${formatBytes(size)}  ${name}`,
    );
    this.#input.update(parts.join("  "), rows);
  }
}
