/** What a download is asked for, what it needs of the world, and what it tells while it runs. */
import type { Http } from "./http.ts";
import type { Part } from "./part.ts";
import type { RetryEdges } from "./retry.ts";
import type { Store } from "./store.ts";

export interface DownloadRequest {
  /** For people. */
  readonly name: string;
  /** Tried in this order: mirrors first. */
  readonly urls: readonly string[];
  /** Absent: whatever comes is hashed, and trusted this once. */
  readonly sha256?: string;
  readonly size?: number;
  /** They are files of a mirror. */
  readonly mirror?: boolean;
  /** What to send along, for each of `urls`; asked for before every attempt. @throws BakeError when it cannot be had */
  readonly headers?: (url: string) => Promise<Readonly<Record<string, string>>>;
}

export interface Downloaded {
  readonly name: string;
  readonly sha256: string;
  readonly size: number;
  /** False: it was there already. */
  readonly fetched: boolean;
}

/** What happens, for whoever shows it. `bytes` are those that are there so far; URLs come without user and query. */
export type TransferEvent =
  | {
      readonly type: "start";
      readonly name: string;
      readonly bytes: number;
      readonly total?: number;
      readonly url: string;
    }
  | { readonly type: "progress"; readonly name: string; readonly bytes: number; readonly total?: number }
  | {
      readonly type: "retry";
      readonly name: string;
      readonly reason: string;
      readonly seconds: number;
      readonly url: string;
    }
  | { readonly type: "wait"; readonly name: string; readonly owner: number }
  | { readonly type: "done"; readonly name: string; readonly bytes: number }
  | { readonly type: "there"; readonly name: string; readonly bytes: number }
  | { readonly type: "failed"; readonly name: string; readonly reason: string };

export interface DownloadEdges extends RetryEdges {
  readonly store: Store;
  readonly http: Http;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** 0 to 1. */
  readonly random: () => number;
  readonly onEvent?: (event: TransferEvent) => void;
}

export interface DownloadOptions {
  /** Attempts without a single new byte before a URL is given up. */
  readonly attempts?: number;
  /** Milliseconds before the second attempt; doubled each time. */
  readonly backoff?: number;
  /** Milliseconds that a server's Retry-After is waited for at most. */
  readonly longestWait?: number;
}

/** What the downloads of one run know of hosts, by origin. */
export interface Reach {
  readonly answered: Set<string>;
  /** Given up, and why: each further file would wait for them as long again. */
  readonly silent: Map<string, string>;
}

/** One download while it runs. */
export interface Running {
  readonly request: DownloadRequest;
  readonly part: Part;
  readonly edges: DownloadEdges;
  readonly options: DownloadOptions;
  readonly reach: Reach;
}

/** All bytes that one place gave. */
export interface Arrived {
  readonly sha256: string;
  readonly size: number;
  /** Not all of it came in one answer. */
  readonly resumed: boolean;
}
