/** What work fails with. */
import { BakeError } from "../src/errors.ts";

/** @throws Error when it does not fail, or with something else than a BakeError. */
export const failing = async (work: Promise<unknown>): Promise<BakeError> => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof BakeError) return error;
  throw new Error(error === undefined ? "it did not fail" : "it failed, and by no BakeError", { cause: error });
};
