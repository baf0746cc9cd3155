/** The log of a job, from the parts that its agent sends. Pure. */
import { stripVTControlCharacters } from "node:util";

/** A job's log in order, whatever order its chunks came in. Pure. @param chunks By offset, in bytes. */
export const assembleLog = (chunks: ReadonlyMap<number, Buffer>): Buffer =>
  Buffer.concat([...chunks].toSorted(([a], [b]) => a - b).map(([, data]) => data));

const escape = String.fromCharCode(27);
const bell = String.fromCharCode(7);
/** Agents put a time before a line, as an application program command, which `stripVTControlCharacters` leaves in. */
const timestamp = new RegExp(`${escape}_bk;[^${bell}]*${bell}`, "g");

/** A log for people and for comparing: no escape sequences, no carriage returns at line ends. Pure. */
export const plainLog = (log: string): string =>
  stripVTControlCharacters(log.replace(timestamp, "")).replace(/\r+\n/g, "\n");
