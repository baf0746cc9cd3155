/** A promise that something else settles, with a time-out and a signal. */

interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

interface Pending {
  readonly onTimeout: () => void;
  /** Called however it ends; may be called again. */
  readonly stop: () => void;
}

/**
 * Makes a promise that `start` hands to whoever settles it. No timer and no listener outlives it.
 * @param timeoutMs Milliseconds until `onTimeout` is called, which has to settle it.
 * @param signal Rejects it with its reason.
 * @param start Must not settle the promise before it returns.
 */
export const pending = <T>(
  timeoutMs: number,
  signal: AbortSignal | undefined,
  start: (settle: Settle<T>) => Pending,
): Promise<T> =>
  new Promise<T>((resolve, reject) => {
    signal?.throwIfAborted();
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      waiting.stop();
    };
    const settle: Settle<T> = {
      resolve: (value) => {
        end();
        resolve(value);
      },
      reject: (reason) => {
        end();
        reject(reason);
      },
    };
    const onAbort = (): void => settle.reject(signal?.reason);
    const waiting = start(settle);
    const timer = setTimeout(waiting.onTimeout, timeoutMs);
    signal?.addEventListener("abort", onAbort, { once: true });
  });

/** Milliseconds for people. Pure. */
export const inSeconds = (milliseconds: number): string => `${Math.round(milliseconds / 1000)} s`;
