/** A build cache on a host, read by ssh as root. Nothing is changed there. */
import { BakeError } from "../errors.ts";
import { shellWord } from "../formats/shell.ts";
import { cacheBlobPath } from "../lock/cache-layout.ts";
import type { CacheSource } from "../lock/take-cache.ts";
import type { RootShell } from "./check-host.ts";

/** What a file's absence ends with. */
const missing = 44;

/**
 * The cache in a folder of a host.
 * @throws BakeError BK516, by its functions, when the host does not answer to the end.
 */
export const cacheOfHost = ({ ssh, shell, name }: RootShell, folder: string): CacheSource => {
  /** @returns undefined where there is no such file. */
  const read = async (path: string, stdoutFile?: string): Promise<string | undefined> => {
    const file = shellWord(`${folder}/${path}`);
    const { exitCode, stdout, stderr } = await ssh(shell, {
      input: `[ -e ${file} ] || exit ${missing}\nexec cat -- ${file}\n`,
      allowFailure: true,
      ...(stdoutFile !== undefined && { stdoutFile }),
    });
    if (exitCode === 0) return stdout;
    if (exitCode === missing) return undefined;
    throw new BakeError(
      "BK516",
      exitCode === 255 || exitCode === 128
        ? `the connection to ${name} was lost`
        : `${folder}/${path} of ${name} cannot be read (exit status ${exitCode})`,
      `Nothing of bake is left there; what was copied is kept, and the next run goes on from there.${stderr.trim() === "" ? "" : `\n${stderr.trim()}`}`,
    );
  };
  return {
    name: `${name}:${folder}`,
    index: () => read("index.json"),
    copy: async (blob, file) => (await read(cacheBlobPath(blob), file)) !== undefined,
  };
};
