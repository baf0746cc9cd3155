/** Bars as SVG: in percent of their width, so that they fit any page. The numbers stand beside them, as text. Pure. */
import { element, type Html } from "../formats/html.ts";

/** A stretch of a bar, as shares of the whole width from 0 to 1. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  /** Its colour, by class. */
  readonly kind: string;
}

const percent = (share: number): string => `${Math.round(Math.min(1, Math.max(0, share)) * 10_000) / 100}%`;

/** So wide that it can be seen. */
const narrowest = 0.004;

/** One bar. @param ticks Lines behind it, as shares. */
export const bar = (stretches: readonly Stretch[], ticks: readonly number[] = []): Html =>
  element(
    "svg",
    { class: "bar", width: "100%", height: 16, "aria-hidden": "true", focusable: "false" },
    ...ticks.map((at) => element("line", { class: "tick", x1: percent(at), x2: percent(at), y1: "0", y2: "100%" })),
    ...stretches.map(({ from, to, kind }) => {
      const start = Math.min(from, 1 - narrowest);
      return element("rect", {
        class: kind,
        x: percent(start),
        y: kind === "before" ? 13 : 2,
        width: percent(Math.max(to - start, narrowest)),
        height: kind === "before" ? 3 : 10,
        rx: kind === "before" ? 0 : 2,
      });
    }),
  );

/** Steps of an axis that people count in. */
const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];

/** Round numbers from 0 on, at most five. Pure. */
export const ticksOf = (end: number): number[] => {
  const step = steps.find((each) => end / each <= 5) ?? end;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, index) => Math.round(index * step * 10) / 10);
};

/** The axis above bars. @param unit Behind the last number. */
export const axis = (end: number, unit: string): Html => {
  const ticks = ticksOf(end);
  return element(
    "svg",
    { class: "axis", width: "100%", height: 16, "aria-hidden": "true", focusable: "false" },
    ...ticks.map((at, index) => {
      const share = at / end;
      const anchor = index === 0 ? "start" : share > 0.93 ? "end" : "middle";
      const label = index === ticks.length - 1 ? `${at} ${unit}` : String(at);
      return element("text", { x: percent(share), y: 12, "text-anchor": anchor }, label);
    }),
  );
};
