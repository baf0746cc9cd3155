/** Does something again whenever a file that it looked at is another one: `bake validate --watch`. */
import { createHash } from "node:crypto";
import { type FSWatcher, readdirSync, readFileSync, realpathSync, statSync, watch } from "node:fs";
import { dirname, resolve } from "node:path";
import { hasProfileEnding } from "../profile/file-names.ts";

/** Milliseconds without news before files are looked at: editors save in several steps. */
const quietFor = 150;

/** After so many milliseconds they are looked at nevertheless: something else in a folder may never be quiet. */
const atMost = 1000;

/** How often files are looked at where a folder cannot be watched: the system has a limit, some file systems know no news. */
const lookEvery = 2000;

/** What tells a file from what it was: its content; of a folder the names in it; nothing where nothing is. */
const printOf = (path: string): string => {
  try {
    return createHash("sha256").update(readFileSync(path)).digest("hex");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EISDIR") return code ?? "unknown";
    try {
      return readdirSync(path).filter(hasProfileEnding).toSorted().join("/");
    } catch {
      return "unknown";
    }
  }
};

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** The folder whose news tell of a path: editors put another file in its place, and it may not be there yet. */
const folderOf = (path: string): string => {
  let at = isFolder(path) ? path : dirname(path);
  while (!isFolder(at) && dirname(at) !== at) at = dirname(at);
  return at;
};

/** Where a path leads, besides where it lies. */
const foldersOf = (path: string): string[] => {
  const own = resolve(path);
  try {
    return [folderOf(own), folderOf(realpathSync(own))];
  } catch {
    return [folderOf(own)];
  }
};

/** Watches folders. One that was removed and made again is another one, of the same name. */
class Folders {
  readonly #watchers = new Map<string, { readonly node: number; readonly watcher: FSWatcher }>();
  readonly #news: () => void;
  /** One of them could not be watched. */
  hasGaps = false;

  constructor(news: () => void) {
    this.#news = news;
  }

  #drop(folder: string): void {
    this.#watchers.get(folder)?.watcher.close();
    this.#watchers.delete(folder);
  }

  /** Watches these, and no others. @returns whether one of them was not watched before. */
  set(folders: ReadonlySet<string>): boolean {
    for (const folder of [...this.#watchers.keys()]) if (!folders.has(folder)) this.#drop(folder);
    let isNew = false;
    this.hasGaps = false;
    for (const folder of folders) {
      try {
        const node = statSync(folder).ino;
        if (this.#watchers.get(folder)?.node === node) continue;
        this.#drop(folder);
        const watcher = watch(folder, () => this.#news());
        watcher.on("error", () => {
          this.#drop(folder);
          this.#news();
        });
        this.#watchers.set(folder, { node, watcher });
        isNew = true;
      } catch {
        this.hasGaps = true;
      }
    }
    return isNew;
  }

  close(): void {
    this.set(new Set());
  }
}

/** Waits until Ctrl-C or SIGTERM. @returns the exit code for it. */
const stopped = (): Promise<number> =>
  new Promise((end) => {
    process.once("SIGINT", () => end(130));
    process.once("SIGTERM", () => end(143));
  });

/**
 * Does it once, and again whenever a file that it looked at changed, until Ctrl-C or SIGTERM.
 * @param work Gets the files that changed, none the first time.
 * @returns the exit code.
 */
export const whenever = async (
  /** @returns the files that it looked at, also those that are not there, and folders in which any profile counts. */
  work: (changed: readonly string[]) => Promise<Iterable<string>>,
): Promise<number> => {
  const end = stopped();
  let prints = new Map<string, string>();
  let timer: NodeJS.Timeout | undefined;
  let firstNews: number | undefined;
  let isBusy = false;
  let isOver = false;

  const news = (): void => {
    if (isOver) return;
    const now = Date.now();
    firstNews ??= now;
    clearTimeout(timer);
    timer = setTimeout(look, Math.max(0, Math.min(quietFor, firstNews + atMost - now)));
  };
  const folders = new Folders(news);

  const again = async (changed: readonly string[]): Promise<void> => {
    // As they were before: what changes meanwhile is news.
    const before = new Map([...prints.keys()].map((path) => [path, printOf(path)]));
    const files = [...new Set(await work(changed))];
    prints = new Map(files.map((path) => [path, before.get(path) ?? printOf(path)]));
  };
  const follow = (): void => {
    if (isOver) return;
    // What happened before a folder was watched was no news.
    if (folders.set(new Set([...prints.keys()].flatMap(foldersOf)))) news();
    else if (folders.hasGaps && timer === undefined) timer = setTimeout(look, lookEvery);
  };
  const look = (): void => {
    timer = undefined;
    firstNews = undefined;
    if (isBusy) return news();
    const changed = [...prints].flatMap(([path, print]) => (printOf(path) === print ? [] : [path]));
    if (changed.length === 0) return follow();
    isBusy = true;
    void again(changed).finally(() => {
      isBusy = false;
      follow();
      news();
    });
  };

  await again([]);
  follow();
  const code = await end;
  isOver = true;
  clearTimeout(timer);
  folders.close();
  return code;
};
