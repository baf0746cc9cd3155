/** What a report shows: all of it was seen by somebody else. */
import type { BootReport } from "../check/check-image.ts";
import type { NodeReport } from "../check/compare.ts";
import type { Difference, Item } from "../lock/diff.ts";
import type { DiskRoom } from "../lock/room.ts";

/** A name and its value, as a list shows them. */
export type Fact = readonly [name: string, value: string];

/** A step of a bake or of its check, in seconds. */
export interface ReportedStep {
  readonly id: string;
  readonly title: string;
  readonly seconds: number;
  /** What it took the last time on this machine; absent where it was not done this time, or never before. */
  readonly last?: number;
}

/** A stage of a bake. */
interface ReportedStage {
  readonly name: string;
  readonly id: string;
  /** When the layer was made that it came out of; absent where it was made anew. */
  readonly reusedFrom?: string;
  readonly seconds?: number;
}

/** An image that was baked. */
export interface ReportedImage {
  readonly facts: readonly Fact[];
  /** Bytes of its file; absent where the cloud has it. */
  readonly size?: number;
  readonly base: { readonly name: string; readonly digest?: string; readonly before?: string };
  readonly items: readonly Item[];
  /** Stages of a local bake, in order. */
  readonly stages?: readonly ReportedStage[];
  /** Against the image before; absent where there was none. */
  readonly changes?: {
    readonly bakeId: string;
    readonly madeAt?: string;
    readonly difference: Difference;
  };
}

/** A node, or an image that was booted. */
export interface ReportedNode extends NodeReport {
  readonly facts?: readonly Fact[];
  readonly boots?: readonly BootReport[];
  /** What the kernel said when it panicked. */
  readonly panics?: readonly string[];
}

export interface Report {
  readonly profile: string;
  readonly trial: boolean;
  /** Of bake. */
  readonly version: string;
  /** ISO 8601 */
  readonly at: string;
  readonly image?: ReportedImage;
  /** None where nothing was checked. */
  readonly nodes: readonly ReportedNode[];
  /** Of the smallest data disk that the profile takes, with what the lock names. */
  readonly disk?: DiskRoom;
  readonly steps: readonly ReportedStep[];
}
